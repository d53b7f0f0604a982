from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av
import pytest

from attn.video.clock import FrameClock


@pytest.fixture
def clock_of():
    """Clock of a file's first video stream."""

    def make(path):
        with av.open(str(path)) as container:
            return FrameClock(container, container.streams.video[0])

    return make


def test_stamps_are_taken_in_seconds(clock_of, write_clip, numbered):
    clock = clock_of(write_clip(numbered(3), ".avi"))
    assert [clock.time_s(i, pts) for i, pts in enumerate((0, 2, 7))] == [0, 2 / 25, 7 / 25]


def test_missing_stamps_are_counted_from_the_frame_rate(clock_of, write_clip, numbered):
    clock = clock_of(write_clip(numbered(3), ".avi", rate=10))
    assert [clock.time_s(i, None) for i in range(4)] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_a_stamp_that_goes_back_is_replaced(clock_of, write_clip, numbered):
    clock = clock_of(write_clip(numbered(3), ".avi", rate=10))
    assert [clock.time_s(i, pts) for i, pts in enumerate((0, 5, 4, 5, 9))] == pytest.approx([0, 0.5, 0.6, 0.7, 0.9])


def test_avi_with_b_frames_is_timed_by_its_rate(clock_of, write_clip, smooth):
    clock = clock_of(write_clip(smooth(12), ".avi", "mpeg4", "yuv420p", most_b_frames=2))
    assert [clock.time_s(i, pts) for i, pts in enumerate((1, 4, 3))] == pytest.approx([0, 0.04, 0.08])


def test_a_stream_without_a_rate_has_the_default_one():
    context, format_ = SimpleNamespace(has_b_frames=False), SimpleNamespace(name="matroska,webm")
    silent: Any = SimpleNamespace(
        average_rate=None, guessed_rate=None, time_base=Fraction(1, 1000), codec_context=context, format=format_
    )
    clock = FrameClock(silent, silent)
    assert [clock.time_s(0, None), clock.time_s(1, None)] == [0, 1 / 25]
