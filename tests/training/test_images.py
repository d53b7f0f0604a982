import json
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn.errors import UsageError
from attn.training.images import cache_images, cache_key, check_skipped
from attn.video.transform import Resampling, resize_and_crop

SIZE = 8
KEY = "0123456789abcdef"
CLASSES = ("jump", "run")


@pytest.fixture
def photographs(tmp_path):
    """Six photographs of odd sizes and modes."""
    random = np.random.default_rng(0)
    modes = ["RGB", "L", "P", "CMYK", "RGBA", "RGB"]
    endings = ["png", "png", "png", "jpg", "png", "jpg"]
    paths = []
    for number, (mode, ending) in enumerate(zip(modes, endings, strict=True)):
        pixels = random.integers(0, 256, (12 + number, 20, 3), dtype=np.uint8)
        path = tmp_path / f"{number}.{ending}"
        Image.fromarray(pixels).convert(mode).save(path)
        paths.append(str(path))
    return paths


def spoil(path):
    Path(path).write_text("<html>not found</html>")


def make(paths, folder, **settings):
    return cache_images(paths, KEY, SIZE, folder, **{"threads": 2} | settings)


def test_rows_are_the_prepared_images_in_order(photographs, tmp_path):
    told = []
    cache = make(photographs, tmp_path / "cache", tell=told.append)
    assert not cache.skipped
    assert told == [1, 2, 3, 4, 5, 6]
    for path, row in zip(photographs, cache.pixels, strict=True):
        with Image.open(path) as image:
            if image.mode in ("RGB", "L"):  # what becomes of the other modes is the reader's choice
                np.testing.assert_array_equal(row, resize_and_crop(image.convert("RGB"), SIZE))
        assert row.std() > 0


def test_a_second_run_reads_no_image(photographs, tmp_path):
    first = make(photographs, tmp_path / "cache").pixels.copy()
    for path in photographs:
        os.remove(path)
    again = make(photographs, tmp_path / "cache", tell=pytest.fail)
    np.testing.assert_array_equal(again.pixels, first)


def test_bad_images_are_skipped_and_named(photographs, tmp_path):
    os.truncate(photographs[5], os.path.getsize(photographs[5]) // 2)
    spoil(photographs[2])
    cache = make(photographs, tmp_path / "cache")
    assert sorted(cache.skipped) == [2, 5]
    assert photographs[2] in cache.skipped[2]
    assert make(photographs, tmp_path / "cache").skipped == cache.skipped
    check_skipped(cache, np.array([0, 0, 0, 1, 1, 1]), CLASSES)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_photograph_with_broken_exif_is_used_as_it_is(photographs, tmp_path):
    with Image.open(photographs[5]) as image:
        plain = image.convert("RGB")
    plain.save(photographs[5], exif=b"Exif\0\0XXXXgarbage", quality=95)
    cache = make(photographs, tmp_path / "cache")
    assert not cache.skipped
    with Image.open(photographs[5]) as image:
        np.testing.assert_array_equal(cache.pixels[5], resize_and_crop(np.asarray(image), SIZE))


def remove(path):
    os.remove(path)


def replace_by_a_folder(path):
    os.remove(path)
    os.mkdir(path)


def forbid(path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    os.chmod(path, 0)


@pytest.mark.parametrize("lose", [remove, replace_by_a_folder, forbid])
def test_an_image_that_the_storage_does_not_give_is_skipped_and_tried_again(photographs, tmp_path, lose):
    expected = make(photographs, tmp_path / "other").pixels
    copy = shutil.copy(photographs[3], tmp_path / "copy")
    lose(photographs[3])
    for _ in range(2):
        cache = make(photographs, tmp_path / "cache")
        assert list(cache.skipped) == [3]
        assert photographs[3] in cache.skipped[3]
        np.testing.assert_array_equal(np.delete(cache.pixels, 3, 0), np.delete(expected, 3, 0))
    shutil.rmtree(photographs[3]) if os.path.isdir(photographs[3]) else Path(photographs[3]).unlink(missing_ok=True)
    shutil.move(copy, photographs[3])
    cache = make(photographs, tmp_path / "cache")
    assert not cache.skipped
    np.testing.assert_array_equal(cache.pixels, expected)


def test_a_storage_that_is_down_ends_it(photographs, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{closed.getsockname()[1]}/0.png"
    with pytest.raises(UsageError, match=r"0\.png: the storage cannot be reached"):
        make([*photographs, down], tmp_path / "cache")
    assert not (tmp_path / "cache" / KEY).exists()


def test_any_other_fault_of_one_image_is_a_skip(photographs, tmp_path):
    broken = "unknown\0name.png"
    cache = make([*photographs, broken], tmp_path / "cache")
    assert list(cache.skipped) == [6]
    assert "ValueError" in cache.skipped[6]


def test_a_class_without_a_good_image_is_refused(photographs, tmp_path):
    for path in photographs[4:]:
        spoil(path)
    cache = make(photographs, tmp_path / "cache")
    with pytest.raises(UsageError, match=r"class run: .*4\.png"):
        check_skipped(cache, np.array([0, 0, 0, 0, 1, 1]), CLASSES)


def test_mostly_bad_images_are_refused(photographs, tmp_path):
    for path in photographs[:2] + photographs[3:5]:
        spoil(path)
    cache = make(photographs, tmp_path / "cache")
    with pytest.raises(UsageError, match="4 of 6"):
        check_skipped(cache, np.array([0, 0, 0, 1, 1, 1]), CLASSES)


def test_the_manifest_is_part_of_what_appears(photographs, tmp_path):
    make(photographs, tmp_path / "cache")
    assert json.loads((tmp_path / "cache" / KEY / "manifest.json").read_text())["skipped"] == {}


@pytest.mark.parametrize("versions", [["a.jpg 11 2"], ["a.jpg 1 3"], ["b.jpg 1 2"], ["a.jpg 1 2", "b.jpg 1 2"]])
def test_any_change_makes_another_cache(versions):
    assert cache_key(versions, SIZE) != cache_key(["a.jpg 1 2"], SIZE)
    assert cache_key(["a.jpg 1 2"], SIZE + 1) != cache_key(["a.jpg 1 2"], SIZE)
    assert cache_key(["a.jpg 1 2"], SIZE, Resampling("bicubic")) != cache_key(["a.jpg 1 2"], SIZE)


def test_images_are_resampled_as_asked(photographs, tmp_path):
    closer = Resampling("bicubic", 0.5)
    cache = make(photographs[5:], tmp_path / "cache", resampling=closer)
    with Image.open(photographs[5]) as image:
        np.testing.assert_array_equal(cache.pixels[0], resize_and_crop(image, SIZE, closer))
