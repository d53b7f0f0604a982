"""Optical flow as 8-bit integers with an exact zero.

    value = round(clip(flow, −b, b) / b · 127),   flow ≈ value · b / 127

The error is at most b/254 pixels inside the bound: 0.079 px for 20 px. Zero stays zero, so a still background has no
motion; the usual mapping of [−b, b] to 0…255 has no zero and turns it into 0.078 px.

Source: Carreira and Zisserman 2017, released data (bound of 20 px). Differs: the exact zero.
"""

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from jaxtyping import Float, Int8

if TYPE_CHECKING:  # decode tasks need no torch
    from torch import Tensor

LEVELS = 127
BOUND_PX = 20.0
"""Default bound, in pixels per step."""

Values = TypeVar("Values", np.ndarray, "Tensor")


def quantised(flow: Float[np.ndarray, "*shape"], bound_px: float) -> Int8[np.ndarray, "*shape"]:
    """Quantise flow to int8.

    Args:
        flow: flow in pixels per step.
        bound_px: largest component that is kept; larger ones are clipped.

    Raises:
        FloatingPointError: a value is NaN or infinite.
    """
    if not np.isfinite(flow).all():
        raise FloatingPointError("optical flow contains NaN or infinity; the weights may be damaged")
    return np.rint(np.clip(flow, -bound_px, bound_px) * (LEVELS / bound_px)).astype(np.int8)


def flow_px(values: Values, bound_px: float) -> Values:
    """Flow in pixels per step, float32, from the integers of a store.

    Args:
        values: array or tensor of integers, of any shape.
        bound_px: bound of the store, in pixels.
    """
    floats = values.astype(np.float32) if isinstance(values, np.ndarray) else values.float()
    return floats * (bound_px / LEVELS)
