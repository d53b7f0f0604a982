"""Clips keep their speed at any frame rate, and what comes between them is faded and still."""

from fractions import Fraction

import numpy as np
import pytest

from attn.datasets.thumos14 import AMBIGUOUS
from attn.synthetic.annotated_video import IDLE, RATES
from attn.synthetic.encode import write_avi
from attn.synthetic.join_frames import ClipPlayer, at_rate, faded, zoomed
from attn.synthetic.join_plan import Clip, Stretch
from attn.video.found import Video
from attn.video.sample import STAMP_TOLERANCE_S
from attn.video.sandbox.guard import FrameReader


def numbered(count: int, fps: float, begin_s: float = 0.0):
    """Frames whose pixels are their number, with their times."""
    return ((begin_s + i / fps, np.full((2, 2, 3), i, np.uint8)) for i in range(count))


@pytest.mark.parametrize("source", [12.5, 24, 25, 30000 / 1001, 50])
@pytest.mark.parametrize("fps", RATES, ids=str)
def test_each_instant_shows_the_latest_frame(fps, source):
    shown = [int(picture[0, 0, 0]) for picture in at_rate(numbered(60, source, begin_s=3.2), fps)]
    assert shown == [int((i / float(fps) + STAMP_TOLERANCE_S) * source) for i in range(len(shown))]
    assert len(shown) == pytest.approx(60 / source * float(fps), abs=1)


def test_frames_of_unequal_length_are_repeated_or_left_out():
    times = (0.0, 0.01, 0.02, 0.5)
    frames = ((time_s, np.full((1, 1, 3), i, np.uint8)) for i, time_s in enumerate(times))
    shown = [int(picture[0, 0, 0]) for picture in at_rate(frames, Fraction(10))]
    assert shown == [0, 2, 2, 2, 2, 3, 3, 3, 3, 3]  # the last one lasts as long as the one before it


def test_a_lone_frame_is_shown_and_nothing_of_no_frames():
    assert len(list(at_rate(numbered(1, 25), Fraction(25)))) == 1
    assert list(at_rate(iter(()), Fraction(25))) == []


def test_a_zoom_ends_at_the_whole_picture_and_is_slow():
    picture = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None], (1, 64, 3))
    frames = list(zoomed(picture, 100, phase=1.0))
    assert (frames[-1] == picture).all()
    assert np.abs(frames[0].astype(float) - picture).mean() > 5
    steps = np.abs(np.diff(np.stack(frames).astype(float), axis=0)).mean((1, 2, 3))
    assert steps.max() < 1


def test_a_fade_goes_evenly_from_one_picture_to_the_other():
    dark, bright = np.full((2, 2, 3), 10, np.uint8), np.full((2, 2, 3), 60, np.uint8)
    labels, frames = zip(*faded(dark, bright, 4), strict=True)
    assert [int(frame[0, 0, 0]) for frame in frames] == [20, 30, 40, 50]
    assert {*labels} == {AMBIGUOUS}


@pytest.fixture
def clip(tmp_path):
    """clip(grey, count): a clip of one shade."""

    def make(grey: int, count: int = 25) -> Clip:
        path = tmp_path / f"{grey}.avi"
        write_avi(path, [np.full((48, 64, 3), grey, np.uint8)] * count, 25, 2)
        return Clip(Video(path.stem, str(path), None, None, None), f"c{grey}", "1")

    return make


def played(stretches, size=32, fps=Fraction(25)):
    with FrameReader() as reader:
        player = ClipPlayer(reader, size)
        frames = [(label, float(picture.mean()), picture.shape) for label, picture in player.frames(stretches, fps)]
    return frames, player.failed


def test_idle_time_and_actions_are_joined_by_ambiguous_frames(clip):
    one, rest = clip(200), clip(60, 15)
    frames, failed = played([Stretch(IDLE, (rest, rest), 0.8), Stretch("Run", (one,)), Stretch(IDLE, (rest,), 9.0)])
    runs = [(label, 20) for label in (IDLE,)] + [(AMBIGUOUS, 10), ("Run", 25), (AMBIGUOUS, 10), (IDLE, 15)]
    assert [label for label, _, _ in frames] == [label for label, count in runs for _ in range(count)]
    assert {shape for _, _, shape in frames} == {(32, 32, 3)}
    for label, grey, _ in frames:
        assert label == AMBIGUOUS or grey == pytest.approx(200 if label == "Run" else 60, abs=3)
    assert failed == {}


def test_a_still_shows_one_frame_for_its_time(clip):
    frames, _ = played([Stretch(IDLE, (clip(90),), 3.0, still=True)])
    assert len(frames) == 75
    assert all(grey == pytest.approx(90, abs=3) for _, grey, _ in frames)


def test_a_clip_that_cannot_be_read_is_named_and_left_out(clip, tmp_path, caplog):
    (tmp_path / "bad.avi").write_bytes(b"RIFF\x00\x00\x00\x00AVI nothing")
    bad = Clip(Video("bad", str(tmp_path / "bad.avi"), None, None, None), "Run", "1")
    stretches = [
        *(Stretch(IDLE, (clip(60),), 0.4), Stretch("Run", (bad,)), Stretch(IDLE, (bad,), 1.0, still=True)),
        Stretch("Jump", (clip(150),)),
    ]
    frames, failed = played(stretches)
    assert [*dict.fromkeys(label for label, _, _ in frames)] == [IDLE, AMBIGUOUS, "Jump"]
    assert failed.keys() == {"bad"}
    assert len(caplog.records) == 1
