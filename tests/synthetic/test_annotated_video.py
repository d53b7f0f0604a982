"""A segment begins and ends when the decoder says that its frames are shown, at every frame rate."""

import weakref
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from attn.datasets.segments import Segment
from attn.datasets.thumos14 import AMBIGUOUS
from attn.synthetic.annotated_video import IDLE, RATES, write_annotated
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader

GREY = {IDLE: 30, AMBIGUOUS: 130, "Run": 230}
RUNS = [(IDLE, 17), (AMBIGUOUS, 5), ("Run", 40), (AMBIGUOUS, 5), (IDLE, 60), ("Run", 1), (IDLE, 3)]


def frames(runs=RUNS):
    for label, count in runs:
        for _ in range(count):
            yield label, np.full((32, 48, 3), GREY[label], np.uint8)


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Time and brightness of every frame."""
    with FrameReader() as reader:
        chunks = [(chunk.time_s, chunk.images.mean((1, 2, 3))) for chunk in reader.read(path, Stride(1), None)]
    times, greys = zip(*chunks, strict=True)
    return np.concatenate(times), np.concatenate(greys)


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_frames_inside_a_segment_show_its_action_and_no_others_do(fps, tmp_path):
    video = write_annotated(str(tmp_path / "v.mp4"), "v", frames(), fps, 10)
    time_s, grey = read(tmp_path / "v.mp4")
    half = 0.5 / float(fps)
    for segments, shade in ((video.segments, GREY["Run"]), (video.ambiguous, GREY[AMBIGUOUS])):
        inside = np.zeros(len(time_s), bool)
        for one in segments:
            inside |= (time_s > one.start_s - half) & (time_s < one.end_s - half)
        assert (inside == (np.abs(grey - shade) < 30)).all()
        assert inside.any()
    assert len(time_s) == video.num_frames == 131
    assert video.duration_s == pytest.approx(time_s[-1] + 2 * half, abs=1e-4)


def test_neighbours_with_one_label_are_one_segment(tmp_path):
    runs = [("Run", 4), ("Run", 6), (IDLE, 2), ("Run", 3)]
    video = write_annotated(str(tmp_path / "v.mp4"), "v", frames(runs), Fraction(24), 30)
    assert video.segments == (Segment("v", "Run", 0.0, 10 / 24), Segment("v", "Run", 12 / 24, 15 / 24))
    assert video.classes == ("Run",)
    assert video.ambiguous == ()


def test_without_frames_there_is_no_file(tmp_path):
    assert write_annotated(str(tmp_path / "v.mp4"), "v", iter(()), Fraction(25), 30) is None
    assert not list(tmp_path.iterdir())


def test_memory_holds_a_few_frames_only(tmp_path):
    alive: list[weakref.ref] = []
    most = []

    def counted():
        for label, picture in frames(RUNS * 2):
            alive.append(weakref.ref(picture))
            yield label, picture
            most.append(sum(one() is not None for one in alive))

    write_annotated(str(tmp_path / "v.mp4"), "v", counted(), Fraction(25), 30)
    assert max(most) <= 3
