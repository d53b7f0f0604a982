"""Dense inverse search (DIS), an optical flow for CPUs, as implemented by OpenCV."""

from collections.abc import Mapping
from types import ModuleType

import numpy as np
from jaxtyping import Float32, UInt8

from attn.errors import UsageError

PARAMETERS: Mapping[str, str] = {"preset": "medium"}
LEAST_SIZE = 12
"""Smallest side of a frame, in pixels."""


def load_opencv() -> ModuleType:
    """Import OpenCV, which is an optional package.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise UsageError(f"--algorithm dis: OpenCV is missing ({error}). Run pip install 'attn[flow]'.") from error
    return cv2


class Dis:
    """Flow of pairs of frames by DIS with its preset `medium`, one pair after the other on one core.

    Source: Kroeger, Timofte, Dai, Van Gool, ECCV 2016; `cv2.DISOpticalFlow`.
    """

    def __call__(self, pairs: UInt8[np.ndarray, "pair 2 row col 3"]) -> Float32[np.ndarray, "pair 2 row col"]:
        """Compute the flow from the first to the second frame of each pair, in pixels: to the right, then down."""
        cv2 = load_opencv()
        cv2.setNumThreads(1)  # decode tasks of a machine share its cores
        count, _, height, width, _ = pairs.shape
        grey = cv2.cvtColor(pairs.reshape(-1, width, 3), cv2.COLOR_RGB2GRAY).reshape(count, 2, height, width)
        flow = np.empty((count, 2, height, width), np.float32)
        for (first, second), found in zip(grey, flow, strict=True):
            # A new object for each pair: one that is used again keeps scales that it chose before.
            dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
            found[:] = dis.calc(first, second, None).transpose(2, 0, 1)
        return flow
