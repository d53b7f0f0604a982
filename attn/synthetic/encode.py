"""Encoding of frames to AVI files like UCF101's: MPEG-4 part 2 without audio."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def write_avi(
    path: Path, frames: Sequence[NDArray[np.uint8]], fps: int, quantiser: int, *, intra_only: bool = False
) -> None:
    """Write a video of RGB frames `[row, col, channel]`, all of the same size, with even width and height.

    Args:
        path: path of the file.
        frames: RGB frames.
        fps: frames per second.
        quantiser: constant quantiser of the codec, from 1 (best) to 31 (worst).
        intra_only: code every frame by itself, so that its pixels do not tell which frames come before it.
    """
    options = {"qmin": str(quantiser), "qmax": str(quantiser), **({"g": "1"} if intra_only else {})}
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(fps), options=options)
        stream.thread_count = 1
        stream.height, stream.width = frames[0].shape[:2]
        for array in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, "rgb24")))
        container.mux(stream.encode(None))
