"""Stacks of consecutive flows, the input of a CNN of optical flow.

Source: Simonyan and Zisserman 2014, section 3 (optical flow stacking); Wang et al. 2016 (stacks of 5).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int8

LENGTH = 5
"""Default number of flows in a stack."""


def stack_rows(num_frames: Sequence[int], length: int) -> Int[np.ndarray, "frame step"]:
    """Rows of the stack that begins at each frame; at the end of a video its last flow is repeated.

    Args:
        num_frames: number of frames of each video; their rows follow each other.
        length: number of flows in a stack.
    """
    last = np.repeat(np.cumsum(num_frames) - 1, num_frames)
    rows = np.arange(len(last))[:, None] + np.arange(length)
    return np.minimum(rows, last[:, None])


def stacked(flow: Int8[np.ndarray, "stack step 2 row col"]) -> Int8[np.ndarray, "stack row col chan"]:
    """Stacks as images of 2L channels: flow to the right and down, one frame after the other."""
    stacks, steps, _, height, width = flow.shape
    return np.ascontiguousarray(flow.reshape(stacks, 2 * steps, height, width).transpose(0, 2, 3, 1))


def mirrored(stacks: Int8[np.ndarray, "stack row col chan"]) -> Int8[np.ndarray, "stack row col chan"]:
    """Stacks of the mirrored video: columns in reverse, and flow to the right negated."""
    flipped = stacks[:, :, ::-1].copy()
    np.negative(flipped[..., ::2], out=flipped[..., ::2])
    return flipped
