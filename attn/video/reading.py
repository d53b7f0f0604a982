"""The yield of decoding: frames or chunks of them one after the other, then a record of how it ended."""

import dataclasses
from collections.abc import Generator
from typing import Generic, Literal, TypeVar

import numpy as np
from jaxtyping import UInt8

MOST_PIXELS = 1 << 26
"""Most pixels of a frame: twice 8K. A header may claim any size, and memory is taken by it."""

MOST_DECLARED = 1 << 31
"""Frames that a header may declare: an index is an int32."""

DecoderName = Literal["auto", "pyav", "decord"]

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Frame:
    """A kept frame.

    Attributes:
        index: its ordinal, from 0, among all frames of the video in the order in which they are shown.
        time_s: its time stamp, in seconds; index / frame rate where the stream has none.
        rgb: upright, its pixels square: of a stream whose pixels are not, the frame as it is shown, scaled in width.
    """

    index: int
    time_s: float
    rgb: UInt8[np.ndarray, "row col 3"]


@dataclasses.dataclass(frozen=True)
class VideoEnd:
    """Facts that only the end of decoding tells.

    Attributes:
        truncated: pictures are missing at the end: the file is cut off or damaged, and the frames are those before.
        decoder: which one it was, pyav or decord.
    """

    truncated: bool
    decoder: str


@dataclasses.dataclass(frozen=True)
class VideoHeader:
    """Facts that the header of a video declares.

    Attributes:
        rate: frames a second; 25 where it says nothing.
        frames: in all; where it counts none, the declared duration times the rate; 0 where it says nothing.
    """

    rate: float
    frames: float


class Reading(Generic[Item]):
    """Items of a video, one after the other, and once that is over, its end record."""

    def __init__(self, steps: Generator[Item, None, VideoEnd]):
        self._steps = steps
        self._end: VideoEnd | None = None

    @property
    def end(self) -> VideoEnd:
        """The end record; an error before everything was read."""
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
        """Reads no further."""
        self._steps.close()
