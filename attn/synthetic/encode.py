"""Writes frames as the AVI files of UCF101's kind: MPEG-4 part 2, no sound."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def write_avi(path: Path, frames: Sequence[NDArray[np.uint8]], fps: int, quantiser: int) -> None:
    """One video of RGB frames `[row, col, channel]`, all of one even size.

    Args:
        quantiser: constant quantiser of the codec; 1 is best, 31 is worst.
    """
    options = {"qmin": str(quantiser), "qmax": str(quantiser)}
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(fps), options=options)
        stream.thread_count = 1
        stream.height, stream.width = frames[0].shape[:2]
        for array in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, "rgb24")))
        container.mux(stream.encode(None))
