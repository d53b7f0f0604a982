"""Windows of frames, against a list of rows made frame by frame."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.stages.windows import Windows, shuffled


def slow_windows(num_frames: list[int], frames: int, stride: int, skip: int) -> list[tuple[int, list[int]]]:
    """Video and rows of every window."""
    found, first = [], 0
    for video, count in enumerate(num_frames):
        if count >= frames * skip:
            for start in range(0, count - frames * skip + 1, stride):
                found.append((video, [first + start + k * skip for k in range(frames)]))
        elif count:
            there = list(range(first, first + count, skip))
            found.append((video, there + there[-1:] * (frames - len(there))))
        first += count
    return found


@given(st.lists(st.integers(0, 40), max_size=5), st.integers(1, 8), st.integers(1, 4), st.integers(1, 6))
def test_equals_slow_loops(num_frames, frames, stride, skip):
    windows = Windows.of(np.array(num_frames, np.int64), frames=frames, stride=stride, skip=skip)
    slow = slow_windows(num_frames, frames, stride, skip)
    assert len(windows) == len(slow)
    assert windows.video.tolist() == [video for video, _ in slow]
    assert windows.rows(slice(None)).tolist() == [rows for _, rows in slow]
    some = np.arange(len(slow))[::-2]
    assert windows.rows(some).tolist() == [slow[one][1] for one in some]


@pytest.mark.parametrize(("fps", "skip"), [(30, 1), (6, 5), (1, 30), (25, 1), (15, 2), (7, 4)])
@pytest.mark.parametrize("count", [1, 29, 30, 31, 100, 899, 900, 1000])
def test_number_of_windows_of_a_video(fps, skip, count):
    assert SoftAttentionConfig(fps=fps).skip == skip
    windows = Windows.of(np.array([count]), frames=30, stride=1, skip=skip)
    assert len(windows) == max(1, count - 30 * skip + 1)


def test_a_video_of_one_frame_repeats_it():
    windows = Windows.of(np.array([2, 1]), frames=30, stride=1, skip=5)
    assert windows.rows(np.array([1])).tolist() == [[2] * 30]


def test_every_epoch_has_an_order_of_its_own():
    orders = [shuffled(50, epoch=epoch, seed=seed).tolist() for epoch, seed in ((0, 0), (1, 0), (0, 1), (0, 0))]
    assert orders[0] == orders[3]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(50)) for order in orders)
