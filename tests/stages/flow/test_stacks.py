"""Stacks of flows: consecutive rows of one video, as channels, mirrored as the video would be."""

import numpy as np
import pytest

from attn.stages.flow.stacks import mirrored, stack_rows, stacked


@pytest.mark.parametrize("length", [1, 3, 5])
def test_a_stack_stays_in_its_video_and_repeats_the_last_flow(length: int) -> None:
    num_frames, expected, first = [4, 1, 7], [], 0
    for frames in num_frames:
        for frame in range(frames):
            expected.append([first + min(frame + step, frames - 1) for step in range(length)])
        first += frames
    np.testing.assert_array_equal(stack_rows(num_frames, length), expected)


def test_channels_are_right_and_down_of_one_flow_after_the_other() -> None:
    flow = np.random.default_rng(0).integers(-127, 128, (3, 5, 2, 4, 6), np.int8)
    images = stacked(flow)
    assert images.shape == (3, 4, 6, 10)
    for step in range(5):
        np.testing.assert_array_equal(images[..., 2 * step], flow[:, step, 0])
        np.testing.assert_array_equal(images[..., 2 * step + 1], flow[:, step, 1])


def test_mirroring_reverses_columns_and_negates_the_flow_to_the_right() -> None:
    images = stacked(np.random.default_rng(0).integers(-127, 128, (2, 2, 2, 3, 4), np.int8))
    found = mirrored(images)
    np.testing.assert_array_equal(found[..., 0::2], -images[:, :, ::-1, 0::2])
    np.testing.assert_array_equal(found[..., 1::2], images[:, :, ::-1, 1::2])
    np.testing.assert_array_equal(mirrored(found), images)
