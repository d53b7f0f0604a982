"""Decoding of videos into full batches of frames.

Batches may contain frames of several videos, so that the GPU gets full batches even if clips are short. Frames are
uint8 and carry their position in the video. The last frame of a video is marked, because the number of frames is known
only after decoding.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from attn.errors import FleetingError, VideoError
from attn.fault_points import reach
from attn.schema import FRAME, IMAGE, LABEL, TIME_S, TRUNCATED, VIDEO_ID
from attn.storage.failures import Failure
from attn.storage.writer import LAST, POSITION
from attn.video.chunks import FrameChunk
from attn.video.decode import DecoderName
from attn.video.reading import Reading
from attn.video.sample import Sampling
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video, check_readable, open_video
from attn.video.transform import BILINEAR, Resampling

NO_LABEL = -1

Columns = dict[str, np.ndarray]


@dataclasses.dataclass
class DecodeVideos:
    """Decode videos one by one into batches of exactly `batch_size` frames; only the last may be smaller.

    Attributes:
        sampling: rule that selects the frames to keep.
        size: side of the square frames, in pixels.
        batch_size: number of frames in a batch.
        decoder: auto, pyav or decord.
        timeout_s: time without output from the decoder, in seconds, after which the video fails.
        attempt: number of the attempt, from 1, for the failure rows.
        last_try: if True, every error is a failure. If False, only errors caused by the video itself are, and other
            videos with errors are left for a retry.
        resampling: part of a frame that is kept, and the interpolation.
    """

    sampling: Sampling
    size: int
    batch_size: int
    decoder: DecoderName = "auto"
    timeout_s: float = 60.0
    attempt: int = 1
    last_try: bool = True
    resampling: Resampling = BILINEAR

    @property
    def frame_bytes(self) -> int:
        """Bytes of pixels per row of a batch."""
        return self.size**2 * 3

    def __call__(self, videos: Iterable[Video], reader: FrameReader) -> Iterator[Columns | Failure]:
        """Yield batches of columns [frame, …], and a failure for each video that cannot be read."""
        batches = _Batches(self.batch_size)
        for video in videos:
            reach("decode", video.video_id)
            try:
                for rows in self._rows(video, reader):
                    yield from batches.add(rows)
            except Exception as error:  # an error of any kind in one video must not stop the others
                if self.last_try or _is_final(error):
                    yield self._failure(video, error)
        yield from batches.rest()

    def _rows(self, video: Video, reader: FrameReader) -> Iterator[Columns]:
        """Rows of one video. The latest chunk is held back until it is known whether it is the last."""
        held: Columns | None = None
        position = 0
        with open_video(video) as path:
            reading = reader.read(path, self.sampling, self.size, self.decoder, self.timeout_s, self.resampling)
            for chunk in with_video_name(video, path, reading):
                if held is not None:
                    yield held
                count = len(chunk.index)
                held = {
                    VIDEO_ID: np.full(count, video.video_id, object),
                    LABEL: np.full(count, NO_LABEL if video.label is None else video.label, np.int16),
                    FRAME: chunk.index,
                    TIME_S: chunk.time_s,
                    POSITION: np.arange(position, position + count, dtype=np.int32),
                    LAST: np.zeros(count, bool),
                    TRUNCATED: np.zeros(count, bool),
                    IMAGE: chunk.images,
                }
                position += count
            if reading.end.truncated:
                check_readable(video)
        if held is None:  # all decoded frames are damaged, or have time stamps before 0 s
            raise VideoError(f"{video.where}: no usable frames, because the file or its time stamps are damaged")
        held[LAST][-1] = True
        held[TRUNCATED][-1] = reading.end.truncated
        yield held

    def _failure(self, video: Video, error: Exception) -> Failure:
        plain = "".join(each if each.isprintable() else " " for each in str(error))
        message = " ".join(plain.split()) or type(error).__name__
        return Failure(video.video_id, video.url, "decode", type(error).__name__, message, self.attempt)


def _is_final(error: Exception) -> bool:
    """Return whether a retry would fail too: errors such as a lack of memory are not caused by the video."""
    return isinstance(error, VideoError) and not isinstance(error, FleetingError)


def with_video_name(video: Video, path: Path, reading: Reading[FrameChunk]) -> Iterator[FrameChunk]:
    """Yield the chunks; errors name the video instead of a temporary copy of it."""
    try:
        yield from reading
    except VideoError as error:
        raise type(error)(str(error).replace(str(path), video.where)) from error


class _Batches:
    """Collect rows into batches of one size, copying each row once because the reader reuses its memory."""

    def __init__(self, size: int):
        self._size = size
        self._open: Columns = {}
        self._count = 0

    def add(self, rows: Columns) -> Iterator[Columns]:
        start, stop = 0, len(rows[FRAME])
        while start < stop:
            if not self._count:
                self._open = {name: np.empty((self._size, *v.shape[1:]), v.dtype) for name, v in rows.items()}
            taken = min(stop - start, self._size - self._count)
            for name, values in rows.items():
                self._open[name][self._count : self._count + taken] = values[start : start + taken]
            start += taken
            self._count += taken
            if self._count == self._size:
                yield from self.rest()

    def rest(self) -> Iterator[Columns]:
        """Yield the collected rows, if any, as a batch."""
        if self._count:
            yield {name: values[: self._count] for name, values in self._open.items()}
        self._count = 0
