"""Videos in, full batches of frames out.

Batches are of frames, not of videos, so that a GPU sees full batches however short the clips are. Frames travel as
uint8 with their place in the video; the end of a video is marked on its last frame, because only decoding tells how
many frames a file really has.
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
from attn.video.guard import FrameReader
from attn.video.reading import Reading
from attn.video.sample import Sampling
from attn.video.source import Video, check_readable, open_video

NO_LABEL = -1

Columns = dict[str, np.ndarray]


@dataclasses.dataclass
class DecodeVideos:
    """Decodes videos one after the other into batches of exactly `batch_size` frames; only the last may be smaller.

    Attributes:
        sampling: which frames are kept.
        size: side of the square frames, in pixels.
        batch_size: frames of a batch.
        decoder: auto, pyav or decord.
        timeout_s: a decoder that yields nothing for so long has its video counted as failed.
        attempt: number of this try, from 1, for the failure rows.
        last_try: what fails now has failed; else only what is the video's own fault, and others are left unfinished.
    """

    sampling: Sampling
    size: int
    batch_size: int
    decoder: DecoderName = "auto"
    timeout_s: float = 60.0
    attempt: int = 1
    last_try: bool = True

    def __call__(self, videos: Iterable[Video], reader: FrameReader) -> Iterator[Columns | Failure]:
        """Batches of columns [frame, …] and, for every video that cannot be read, a failure."""
        batches = _Batches(self.batch_size)
        for video in videos:
            reach("decode", video.video_id)
            try:
                for rows in self._rows(video, reader):
                    yield from batches.add(rows)
            except Exception as error:  # whatever one video does, the others go on
                if self.last_try or _is_final(error):
                    yield self._failure(video, error)
        yield from batches.rest()

    def _rows(self, video: Video, reader: FrameReader) -> Iterator[Columns]:
        """Rows of one video; the newest chunk is held back until it is known whether it is the last."""
        held: Columns | None = None
        position = 0
        with open_video(video) as path:
            reading = reader.read(path, self.sampling, size=self.size, decoder=self.decoder, timeout_s=self.timeout_s)
            for chunk in _told_of(video, path, reading):
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
        if held is None:  # some were decoded, none intact; or all are shown before 0 s
            raise VideoError(f"{video.where}: none of its frames can be kept; the file or its time stamps are damaged")
        held[LAST][-1] = True
        held[TRUNCATED][-1] = reading.end.truncated
        yield held

    def _failure(self, video: Video, error: Exception) -> Failure:
        plain = "".join(each if each.isprintable() else " " for each in str(error))
        message = " ".join(plain.split()) or type(error).__name__
        return Failure(video.video_id, video.url, "decode", type(error).__name__, message, self.attempt)


def _is_final(error: Exception) -> bool:
    """Whether the next try would end in the same way: a machine without memory or processes is no video's fault."""
    return isinstance(error, VideoError) and not isinstance(error, FleetingError)


def _told_of(video: Video, path: Path, reading: Reading[FrameChunk]) -> Iterator[FrameChunk]:
    """The same, with errors that name the video where they would name a temporary copy of it."""
    try:
        yield from reading
    except VideoError as error:
        raise type(error)(str(error).replace(str(path), video.where)) from error


class _Batches:
    """Copies a stream of rows into batches of one size, each row once: the reader wants its memory back soon."""

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
        """What is there, if anything, as a batch."""
        if self._count:
            yield {name: values[: self._count] for name, values in self._open.items()}
        self._count = 0
