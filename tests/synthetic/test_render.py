"""The rendered folder is a data set: complete, in the official layout, the same every time."""

from pathlib import Path

import av
import pytest

from attn.datasets.image_folder import list_images, read_image
from attn.datasets.split import read_split
from attn.datasets.ucf101 import group_of, read_class_index
from attn.errors import UsageError
from attn.synthetic import ACTIONS, read_boxes, render_images, render_videos
from attn.synthetic.shift import DomainShift

N_IMAGES, N_VIDEOS = 70, 26


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rendered")
    assert render_images(root, N_IMAGES, seed=3, workers=2) == root / "images"
    assert render_videos(root, N_VIDEOS, seed=3, workers=2) == root / "UCF-101"
    return root


def test_images_are_a_complete_image_folder(root):
    images = list_images(str(root / "images"))
    assert images.class_names == ACTIONS
    assert len(images.paths) == N_IMAGES
    for path in images.paths[::10]:
        assert min(read_image(path).size) >= 136


def test_any_size_is_a_prefix_and_processes_do_not_matter(root, tmp_path):
    render_images(tmp_path, 20, seed=3, workers=1)
    render_videos(tmp_path, 5, seed=3, workers=1)
    for folder in ("images", "UCF-101", "boxes"):
        few, many = contents(tmp_path / folder), contents(root / folder)
        assert few
        assert few.items() <= many.items()


def test_another_seed_or_shift_renders_other_pixels_of_the_same_names(root, tmp_path):
    for i, (seed, shift) in enumerate([(4, DomainShift()), (3, DomainShift(image_figure=(0.5, 0.5)))]):
        other = contents(render_images(tmp_path / str(i), 8, seed, shift=shift, workers=1))
        same = contents(root / "images")
        assert other.keys() <= same.keys()
        assert all(other[name] != same[name] for name in other)


def test_the_lists_are_the_official_format(root):
    lists = root / "ucfTrainTestlist"
    assert read_class_index(str(lists / "classInd.txt")) == ACTIONS
    videos = {path.stem: path.parent.name for path in (root / "UCF-101").rglob("*.avi")}
    assert len(videos) == N_VIDEOS
    for split in ("01", "02", "03"):
        train, test = (read_split(str(lists / f"{part}list{split}.txt"), ACTIONS) for part in ("train", "test"))
        assert train | test == videos
        assert not train.keys() & test.keys()
        sides = [{(name, group_of(video)) for video, name in part.items()} for part in (train, test)]
        assert not sides[0] & sides[1]


def test_every_frame_of_every_video_has_its_box(root):
    for path in sorted((root / "UCF-101").rglob("*.avi"))[::3]:
        track = read_boxes(root / "boxes" / f"{path.stem}.json")
        with av.open(str(path)) as container:
            sizes = [(frame.width, frame.height) for frame in container.decode(video=0)]
        assert track.video_id == path.stem
        assert sizes == [(track.width, track.height)] * len(track.boxes)
        assert 0 <= track.acting[0] < track.acting[1] <= len(track.boxes)
        for left, top, right, bottom in track.boxes[slice(*track.acting)]:
            assert 0 <= left < right <= track.width
            assert 0 <= top < bottom <= track.height


def test_a_rendering_can_be_repeated_but_not_mixed_with_another(tmp_path):
    render_images(tmp_path, 4, workers=1)
    render_images(tmp_path, 4, workers=1)
    render_images(tmp_path, 6, workers=1)
    with pytest.raises(UsageError, match=r"contains another file, Point_00000\.jpg"):
        render_images(tmp_path, 4, workers=1)
    render_videos(tmp_path, 1, workers=1)
    (tmp_path / "boxes" / "mine.json").write_text("{}")
    with pytest.raises(UsageError, match=r"contains another file, mine\.json"):
        render_videos(tmp_path, 1, workers=1)
