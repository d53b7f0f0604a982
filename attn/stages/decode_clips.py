"""Decoding of videos into clips, the input of networks of clips."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from attn.schema import FRAME, IMAGE, LABEL, REPEATED, TIME_S, TRUNCATED, VIDEO_ID
from attn.stages.clips import ClipSampling
from attn.stages.decode_videos import NO_LABEL, Columns, DecodeVideos
from attn.storage.writer import LAST, POSITION
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video


@dataclasses.dataclass(kw_only=True)
class DecodeClips(DecodeVideos):
    """Decode videos into batches of clips, IMAGE [clip, time, row, col, rgb].

        clips of N kept frames: those of `clip_starts`

    A clip of a short video repeats the last frame; REPEATED is the number of repetitions. `batch_size` counts clips.
    Only the frames of one clip and those up to the next one are in memory.

    Attributes:
        clip: frames of a clip.
        every: distance of the first frames of two clips.
    """

    clip: ClipSampling
    every: int

    @property
    def frame_bytes(self) -> int:
        return self.clip.length * super().frame_bytes

    def _rows(self, video: Video, reader: FrameReader) -> Iterator[Columns]:
        """Rows of one video, one clip at a time. The latest is held back until it is known whether it is the last."""
        held: Columns | None = None
        kept: list[Frame] = []
        start = position = 0  # first frame of the next clip, and index of the current frame
        last: Columns = {}
        for last in super()._rows(video, reader):
            for frame in _frames(last):
                position += 1
                if position <= start:
                    continue
                kept.append(frame)
                if len(kept) == self.clip.span:
                    if held is not None:
                        yield held
                    held = self._row(video, kept, start // self.every)
                    start += self.every
                    del kept[: self.every]
        if held is None:
            held = self._row(video, kept, 0)
        held[LAST][-1], held[TRUNCATED][-1] = True, last[TRUNCATED][-1]
        yield held

    def _row(self, video: Video, kept: list["Frame"], number: int) -> Columns:
        """Row of a clip, from the frames that begin with its first one."""
        frames, repeated = self.clip.frames(len(kept), 0)
        return {
            VIDEO_ID: np.full(1, video.video_id, object),
            LABEL: np.full(1, NO_LABEL if video.label is None else video.label, np.int16),
            FRAME: np.array([kept[0].number], np.int32),
            TIME_S: np.array([kept[0].time_s], np.float32),
            POSITION: np.array([number], np.int32),
            LAST: np.zeros(1, bool),
            TRUNCATED: np.zeros(1, bool),
            REPEATED: np.array([repeated.sum()], np.int16),
            IMAGE: np.stack([kept[frame].image for frame in frames])[None],
        }


class Frame(NamedTuple):
    """A kept frame.

    Attributes:
        number: index in the source.
        time_s: time in the source.
        image: pixels [row, col, rgb].
    """

    number: int
    time_s: float
    image: np.ndarray


def _frames(rows: Columns) -> Iterator[Frame]:
    """Frames of a chunk, copied, because the reader reuses its memory."""
    for index, time_s, image in zip(rows[FRAME], rows[TIME_S], rows[IMAGE], strict=True):
        yield Frame(int(index), float(time_s), image.copy())
