"""Where the frames of videos stand, whose they are, and that a video is held out as a whole."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn.storage.parts import PartVideos
from attn.training.holdout import hold_out
from attn.training.pictures import VideoFrames, WebImages
from attn.video.transform import Resampling, resize_and_crop

PARTS = (PartVideos("s/part-1.parquet", {"c": 2, "a": 3}), PartVideos("s/part-0.parquet", {"b": 4}))


@pytest.fixture
def frames() -> VideoFrames:
    return VideoFrames("s", PARTS, {"a": 1, "b": 0, "c": 1, "not there": 0}, frozenset({"b"}))


def test_rows_are_the_videos_one_after_the_other(frames: VideoFrames) -> None:
    of_row = ["a"] * 3 + ["b"] * 4 + ["c"] * 2
    np.testing.assert_array_equal(frames.labels, [{"a": 1, "b": 0, "c": 1}[video] for video in of_row])
    rows = np.arange(9)
    np.testing.assert_array_equal(frames.held_out(rows), [video == "b" for video in of_row])
    np.testing.assert_array_equal(frames.held_out(rows[::2]), [video == "b" for video in of_row[::2]])
    for row, video in enumerate(of_row):
        assert frames.names(np.array([row])) == [video]
    assert frames.names(rows[frames.held_out(rows)]) == ["b"]
    assert frames.names(np.array([], np.int64)) == []


def test_whether_a_video_can_be_spared_decides_validation(frames: VideoFrames) -> None:
    assert frames.validated
    assert not VideoFrames("s", PARTS, frames.video_labels, frozenset()).validated


def test_other_parts_or_videos_are_another_cache_and_held_out_ones_are_not(frames: VideoFrames) -> None:
    def key(url: str, *parts: PartVideos, held: frozenset[str] = frozenset()) -> str:
        return VideoFrames(url, parts, frames.video_labels, held).cache_key

    assert key("s", *PARTS[::-1]) == frames.cache_key
    others = [key("t", *PARTS), key("s", *PARTS[1:]), key("s", PartVideos("s/part-2.parquet", PARTS[0].rows), PARTS[1])]
    fewer = key("s", PartVideos(PARTS[0].path, {"a": 3}), PARTS[1])
    assert len({frames.cache_key, fewer, *others}) == 5


def test_photographs_are_held_out_one_by_one_among_those_that_can_be_read() -> None:
    names, labels = [f"{number}.png" for number in range(20)], np.repeat([0, 1], 10)
    images = WebImages(names, names, labels, "key", 8, validation_fraction=0.3, seed=1)
    good = np.array([row for row in range(20) if row != 4])
    expected = hold_out([names[row] for row in good], labels[good], fraction=0.3, seed=1)
    np.testing.assert_array_equal(images.held_out(good), expected)
    assert images.names(good[:2]) == ["0.png", "1.png"]


def test_photographs_are_resampled_as_the_network_asks(tmp_path: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
    image.save(path := str(tmp_path / "one.png"))
    closer = Resampling("bicubic", 0.5)
    images = WebImages(["one.png"], [path], np.zeros(1, int), "key", 8, 0.0, 1, closer)
    pixels = images.cached(tmp_path / "cache", threads=1, tell=lambda done: None).pixels
    np.testing.assert_array_equal(pixels[0], resize_and_crop(image, 8, closer))
