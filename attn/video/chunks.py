"""Chunks of frames, the units that the decoder process passes to its owner."""

import dataclasses
from collections.abc import Callable, Generator

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from attn.video.reading import Frame, Reading, VideoEnd
from attn.video.transform import BILINEAR, Resampling, resize_and_crop

MOST_FRAMES = 32
MOST_BYTES = 16 * 2**20

Shape = tuple[int, int, int, int]
Allocate = Callable[[Shape], UInt8[np.ndarray, "frame row col 3"]]


@dataclasses.dataclass(frozen=True)
class FrameChunk:
    """Consecutive sampled frames of one video.

    Attributes:
        index: positions of the frames in the video, see `Frame`.
        time_s: time stamps in seconds.
        images: RGB images.
    """

    index: Int32[np.ndarray, " frame"]
    time_s: Float32[np.ndarray, " frame"]
    images: UInt8[np.ndarray, "frame row col 3"]


def gather(
    frames: Reading[Frame], size: int | None, allocate: Allocate, resampling: Resampling = BILINEAR
) -> Generator[FrameChunk, None, VideoEnd]:
    """Gather frames into chunks of at most 32 frames and 16 MiB. A larger frame is a chunk of its own.

    Args:
        frames: frames of one video.
        size: side of the square to which frames are resized, in pixels (`resize_and_crop`). None leaves them as they
            are, and a new chunk begins when their size changes.
        allocate: returns the array for the images of the next chunk.
        resampling: part of a frame that is kept, and the interpolation.
    """
    chunk: _OpenChunk | None = None
    for frame in frames:
        image = frame.rgb if size is None else resize_and_crop(frame.rgb, size, resampling)
        if chunk is not None and not chunk.takes(image):
            yield chunk.close()
            chunk = None
        if chunk is None:
            chunk = _OpenChunk(allocate((_capacity(image), *image.shape)))
        chunk.add(frame, image)
    if chunk is not None:
        yield chunk.close()
    return frames.end


def _capacity(image: np.ndarray) -> int:
    return max(1, min(MOST_FRAMES, MOST_BYTES // image.nbytes))


class _OpenChunk:
    """Chunk to which frames can still be added."""

    def __init__(self, images: UInt8[np.ndarray, "frame row col 3"]):
        self._images = images
        self._index: list[int] = []
        self._time_s: list[float] = []

    def takes(self, image: UInt8[np.ndarray, "row col 3"]) -> bool:
        return len(self._index) < len(self._images) and image.shape == self._images.shape[1:]

    def add(self, frame: Frame, image: UInt8[np.ndarray, "row col 3"]) -> None:
        self._images[len(self._index)] = image
        self._index.append(frame.index)
        self._time_s.append(frame.time_s)

    def close(self) -> FrameChunk:
        index = np.array(self._index, np.int32)
        return FrameChunk(index, np.array(self._time_s, np.float32), self._images[: len(index)])
