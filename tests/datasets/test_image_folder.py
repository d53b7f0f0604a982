"""Which files of a folder are images of which class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn.datasets.image_folder import list_images, read_image
from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.location import Location


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return join(request.getfixturevalue("s3"), "web") if request.param == "s3" else str(tmp_path / "web")


def fill(folder: str, *names: str) -> None:
    for name in names:
        (Location.at(folder) / name).write_atomic(b"not looked at")


def test_classes_and_images_are_sorted_and_everything_else_is_passed_over(folder):
    fill(folder, "wave/b.JPG", "wave/a.jpeg", "wave/deep/c.Png", "Kick/z.tif", "Kick/y.webp", "a b/1.x.gif")
    fill(
        folder, "readme.md", "loose.jpg", "wave/notes.txt", "wave/.d.jpg", ".git/e.jpg", "Kick/LICENSE", "wave/.x/f.png"
    )
    images = list_images(folder)
    assert images.class_names == ("Kick", "a b", "wave")
    assert images.names == (
        "Kick/y.webp", "Kick/z.tif", "a b/1.x.gif", "wave/a.jpeg", "wave/b.JPG", "wave/deep/c.Png",
    )  # fmt: skip
    assert images.labels.tolist() == [0, 0, 1, 2, 2, 2]
    assert images.paths == tuple(join(folder, name) for name in images.names)


IMAGES = ["a.jfif", "b.JPE", "c.avif", "d.jp2", "e.ppm", "f", "g.jpg?w=640", "h.jpg:large", "i.png.1", "j k"]


def test_images_under_names_of_the_web_are_read_by_their_content(tmp_path, caplog):
    formats = {"c.avif": "AVIF", "d.jp2": "JPEG2000", "e.ppm": "PPM", "i.png.1": "PNG"}
    (tmp_path / "Wave").mkdir()
    for number, name in enumerate(IMAGES):
        Image.new("RGB", (8, 8), (20 * number, 0, 0)).save(tmp_path / "Wave" / name, formats.get(name, "JPEG"))
    others = ["x.heic", "y.svg", "z.zip", "z.part.rar", "a.mp4", "a.txt", "desktop.ini", "README", "b.jpg.json"]
    fill(str(tmp_path), *(f"Wave/{name}" for name in others), "Kick/k.heic")
    images = list_images(str(tmp_path), ("Wave",))
    assert images.names == tuple(f"Wave/{name}" for name in IMAGES)
    reds = [np.asarray(read_image(path))[4, 4, 0] for path in images.paths]
    np.testing.assert_allclose(reds, 20 * np.arange(10.0), atol=6)
    (line,) = caplog.messages
    assert "4 files left out that may be images: 1 .heic, 1 .svg, 1 .rar, 1 .zip (Wave/x.heic, " in line


def test_a_class_list_chooses_folders_and_gives_the_ids(folder):
    fill(folder, "a/1.jpg", "b/2.jpg", "c/3.jpg")
    images = list_images(folder, ("c", "a"))
    assert images.class_names == ("c", "a")
    assert images.names == ("c/3.jpg", "a/1.jpg")
    assert images.labels.tolist() == [0, 1]


def test_folders_of_other_classes_are_refused_if_there_may_be_none(folder):
    fill(folder, "ka te/1.jpg", "b/2.jpg", "c/3.jpg", ".git/5.jpg", "loose.jpg")
    assert list_images(folder, ("b", "c", "KaTe"), no_others=True).labels.tolist() == [0, 1, 2]
    with pytest.raises(UsageError, match=r"web: folders of other classes: c, ka te\. Remove them"):
        list_images(folder, ("b",), no_others=True)


def test_folders_may_spell_the_classes_otherwise(folder):
    fill(folder, "apply_eye_makeup/1.jpg", "handstand pushups/2.jpg", "Yo-Yo/3.jpg", "YoYo_old/4.jpg", "TAICHI/5.jpg")
    images = list_images(folder, ("ApplyEyeMakeup", "TaiChi", "HandstandPushups", "YoYo"))
    assert images.class_names == ("ApplyEyeMakeup", "TaiChi", "HandstandPushups", "YoYo")
    assert images.names == ("apply_eye_makeup/1.jpg", "TAICHI/5.jpg", "handstand pushups/2.jpg", "Yo-Yo/3.jpg")
    assert images.labels.tolist() == [0, 1, 2, 3]


def test_an_exact_name_comes_before_a_spelling(folder):
    fill(folder, "hand_shake/1.jpg", "handShake/2.jpg", "Hug/3.jpg", "hug/4.jpg")
    images = list_images(folder, ("handShake", "hug", "Hug"))
    assert images.names == ("handShake/2.jpg", "hug/4.jpg", "Hug/3.jpg")


def test_two_spellings_of_one_class_are_refused(folder):
    fill(folder, "hand_shake/1.jpg", "handshake/2.jpg", "Hug/3.jpg")
    with pytest.raises(UsageError, match=r"2 folders of class handShake: hand_shake, handshake\. Merge them"):
        list_images(folder, ("handShake", "hug"))


def test_listed_paths_can_be_read(folder, tmp_path):
    Image.new("RGB", (3, 2), (10, 20, 30)).save(tmp_path / "a.png")
    (Location.at(folder) / "Wave/a.png").write_atomic((tmp_path / "a.png").read_bytes())
    (path,) = list_images(folder).paths
    assert np.asarray(read_image(path)).tolist() == [[[10, 20, 30]] * 3] * 2


@pytest.mark.parametrize(
    ("names", "class_names", "message"),
    [
        (["a/1.jpg", "b/notes.txt"], None, "no images of b"),
        (["a/1.jpg"], ("a", "Jump"), "no images of Jump"),
        (["1.jpg", "2.jpg"], None, "no class folders"),
        (["a/1.jpg"], ("a", "a"), "appear twice"),
    ],
)
def test_what_is_missing_is_named(folder, names, class_names, message):
    fill(folder, *names)
    with pytest.raises(UsageError, match=message):
        list_images(folder, class_names)


def test_missing_and_empty_places(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        list_images(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="no class folders"):
        list_images(str(tmp_path))
    (tmp_path / "Wave").mkdir()
    with pytest.raises(UsageError, match="no images of Wave"):
        list_images(str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="folder is needed"):
        list_images(str(tmp_path / "file"))


def test_an_empty_bucket_folder_is_refused(s3):
    with pytest.raises(UsageError, match="no class folders"):
        list_images(join(s3, "nowhere"))


def test_images_of_a_search_can_all_be_read(real_data):
    web = real_data / "sports" / "web"
    if not web.is_dir():
        pytest.skip("real images not present")
    images = list_images(str(web))
    assert len(images.class_names) == 8
    assert np.bincount(images.labels).tolist() == [80] * 8
    for path in images.paths[::4]:
        assert read_image(path).mode == "RGB"
