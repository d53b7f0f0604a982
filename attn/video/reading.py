"""Results of decoding: frames or chunks of frames one after another, then a record of how it ended."""

import dataclasses
from collections.abc import Generator
from typing import Generic, Literal, TypeVar

import numpy as np
from jaxtyping import UInt8

MOST_PIXELS = 1 << 26
"""Most pixels of a frame: twice 8K. A header may declare any size, and memory is allocated for it."""

MOST_DECLARED = 1 << 31
"""Most frames that a header may declare, because an index is an int32."""

DecoderName = Literal["auto", "pyav", "decord"]

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Frame:
    """Sampled frame.

    Attributes:
        index: position, from 0, among all frames of the video in display order.
        time_s: time stamp in seconds; index / frame rate if the stream has none.
        rgb: upright image with square pixels; if those of the stream are not square, its width is scaled.
    """

    index: int
    time_s: float
    rgb: UInt8[np.ndarray, "row col 3"]


@dataclasses.dataclass(frozen=True)
class VideoEnd:
    """Facts known at the end of decoding.

    Attributes:
        truncated: whether pictures are missing at the end because the file is cut off or damaged.
        decoder: decoder that was used, pyav or decord.
    """

    truncated: bool
    decoder: str


@dataclasses.dataclass(frozen=True)
class VideoHeader:
    """Facts that the header of a video declares.

    Attributes:
        rate: frames per second; 25 if not declared.
        frames: number of frames; if not declared, the declared duration times the rate, or 0 without a duration.
    """

    rate: float
    frames: float


class Reading(Generic[Item]):
    """Iterator over the items of a video, with an end record after the last one."""

    def __init__(self, steps: Generator[Item, None, VideoEnd]):
        self._steps = steps
        self._end: VideoEnd | None = None

    @property
    def end(self) -> VideoEnd:
        """End record. Before everything is read, access raises RuntimeError."""
        if self._end is None:
            raise RuntimeError("the video has not been read to its end")
        return self._end

    def __iter__(self) -> "Reading[Item]":
        return self

    def __next__(self) -> Item:
        try:
            return next(self._steps)
        except StopIteration as stop:
            self._end = stop.value or self._end
            raise

    def close(self) -> None:
        """Stop reading."""
        self._steps.close()
