"""Rows of a flow store as batches of clips, the input of networks of clips that take flow."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from attn.schema import FLOW, FRAME, IMAGE, LABEL, REPEATED, TIME_S, TRUNCATED, VIDEO_ID
from attn.stages.clips import ClipSampling, clip_starts
from attn.stages.decode_videos import NO_LABEL, Columns
from attn.stages.read_flow import ReadFlow
from attn.storage.tensors import tensor_values
from attn.storage.writer import LAST, POSITION
from attn.video.source import Video


@dataclasses.dataclass
class ReadClips(ReadFlow):
    """Read videos of a flow store as clips, IMAGE [clip, time, row, col, chan] int8.

    The clips are those of `DecodeClips`. A frame that is only repeated has flow 0. `batch_size` counts clips, and only
    the rows of one batch of clips are in memory.

    Attributes:
        clip: frames of a clip.
        every: distance of the first frames of two clips.
    """

    length: int = dataclasses.field(default=1, kw_only=True)
    clip: ClipSampling = dataclasses.field(kw_only=True)
    every: int = dataclasses.field(kw_only=True)

    @property
    def frame_bytes(self) -> int:
        return self.clip.length * super().frame_bytes

    def _video(self, video: Video, batches: Iterable[pa.RecordBatch], field: pa.Field) -> Iterator[Columns]:
        total = self.num_frames[video.video_id]
        left = clip_starts(total, self.clip, self.every)
        held, first, read, number = list[pa.RecordBatch](), 0, 0, 0
        for batch in batches:
            held.append(batch)
            read += len(batch)
            while read >= min(left[: self.batch_size][-1] + self.clip.span, total):
                starts, left = left[: self.batch_size], left[self.batch_size :]
                rows = pa.Table.from_batches(held).slice(starts[0] - first)
                yield self._clips(video, rows, starts, number, field, last=not left)
                if not left:
                    return
                number += len(starts)
                kept = rows.slice(min(left[0], read) - starts[0])  # the next clip may begin after the rows read so far
                held, first = kept.to_batches(), read - len(kept)

    def _clips(
        self, video: Video, rows: pa.Table, starts: Sequence[int], number: int, field: pa.Field, *, last: bool
    ) -> Columns:
        """Rows of consecutive clips.

        Args:
            video: the video.
            rows: rows of the store from the first frame of the first clip on.
            starts: first frames of the clips.
            number: number of the first clip in the video.
            field: field of the flow.
            last: whether the video has no further clips.
        """
        count, total = len(starts), self.num_frames[video.video_id]
        frames, repeated = zip(*(self.clip.frames(total, start) for start in starts), strict=True)
        wanted = np.stack(frames) - starts[0]
        flow = tensor_values(rows.slice(0, int(wanted.max()) + 1)[FLOW], field)[wanted]
        flow[np.stack(repeated)] = 0
        own = rows.take(np.array(starts) - starts[0])
        ends = np.arange(count) == (count - 1 if last else count)
        return {
            VIDEO_ID: np.full(count, video.video_id, object),
            LABEL: np.full(count, NO_LABEL if video.label is None else video.label, np.int16),
            FRAME: own[FRAME].to_numpy(),
            TIME_S: own[TIME_S].to_numpy(),
            POSITION: np.arange(number, number + count, dtype=np.int32),
            LAST: ends,
            TRUNCATED: own[TRUNCATED].to_numpy() & ends,
            REPEATED: np.stack(repeated).sum(1).astype(np.int16),
            IMAGE: np.ascontiguousarray(flow.transpose(0, 1, 3, 4, 2)),
        }
