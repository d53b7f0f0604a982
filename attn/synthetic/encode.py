"""Encoding of frames: AVI files like UCF101's (MPEG-4 part 2), and MP4 files of any frame rate (H.264); no audio.

Frames are encoded one by one, so that a video of any length takes the memory of a few frames.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

# x264's look-ahead decides by memory that it did not initialise: equal frames would not give equal files.
X264 = {"preset": "veryfast", "x264-params": "bframes=0:rc-lookahead=0:sync-lookahead=0:mbtree=0"}

Picture = NDArray[np.uint8]
"""RGB frame `[row, col, channel]`."""


def write_avi(path: Path, frames: Iterable[Picture], fps: int, quantiser: int, *, intra_only: bool = False) -> None:
    """Write a video of RGB frames `[row, col, channel]`, all of the same size, with even width and height.

    Args:
        path: path of the file.
        frames: RGB frames.
        fps: frames per second.
        quantiser: constant quantiser of the codec, from 1 (best) to 31 (worst).
        intra_only: code every frame by itself, so that its pixels do not tell which frames come before it.
    """
    options = {"qmin": str(quantiser), "qmax": str(quantiser), **({"g": "1"} if intra_only else {})}
    _write(path, frames, Fraction(fps), "avi", "mpeg4", options)


def write_mp4(path: Path, frames: Iterable[Picture], fps: Fraction, rate_factor: int) -> None:
    """Write a video as `write_avi` does; frame i is shown from i/fps to (i + 1)/fps seconds.

    Args:
        path: path of the file, with any suffix. Without frames, no file is written.
        frames: RGB frames.
        fps: frames per second, such as 30000/1001.
        rate_factor: constant rate factor of the codec, from 0 (lossless) to 51 (worst).
    """
    _write(path, frames, fps, "mp4", "libx264", {**X264, "crf": str(rate_factor)})


def _write(
    path: Path,
    frames: Iterable[Picture],
    fps: Fraction,
    form: str,
    codec: Literal["mpeg4", "libx264"],
    options: Mapping[str, str],
) -> None:
    rest: Iterator[Picture] = iter(frames)
    first = next(rest, None)
    if first is None:
        return
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=fps, options=dict(options))
        stream.thread_count = 1
        stream.height, stream.width = first.shape[:2]
        for array in itertools.chain((first,), rest):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, "rgb24")))
        container.mux(stream.encode(None))
