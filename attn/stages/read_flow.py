"""Rows of a flow store as batches of stacks, read in place of decoding videos."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from attn.fault_points import reach
from attn.schema import FLOW, FRAME, IMAGE, LABEL, N_FRAMES, TIME_S, TRUNCATED, VIDEO_ID
from attn.stages.decode_videos import NO_LABEL, Columns, DecodeVideos
from attn.stages.flow.stacks import stack_rows, stacked
from attn.storage.failures import Failure
from attn.storage.parts import PartVideos
from attn.storage.store import FlowStore
from attn.storage.tensors import tensor_values
from attn.storage.writer import LAST, POSITION
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video


@dataclasses.dataclass
class ReadFlow(DecodeVideos):
    """Read videos of a flow store: IMAGE is the stack of flows that begins at each frame, int8 [frame, row, col, chan].

    A video's URL is the path of its part. Consecutive videos of one part are read in one pass over it.

    Attributes:
        store: URL of the flow store.
        num_frames: number of rows of each video.
        length: number of flows in a stack.
    """

    store: str = dataclasses.field(kw_only=True)
    num_frames: Mapping[str, int] = dataclasses.field(kw_only=True)
    length: int = dataclasses.field(kw_only=True)

    @property
    def frame_bytes(self) -> int:
        return self.size**2 * 2 * self.length

    def __call__(self, videos: Iterable[Video], reader: FrameReader) -> Iterator[Columns | Failure]:
        """Yield batches of columns [frame, …], none with rows of two videos, and a failure for each unreadable one."""
        for path, group in itertools.groupby(videos, key=lambda video: video.url):
            left = {video.video_id: video for video in group}
            for video in left.values():
                reach("decode", video.video_id)
            try:
                for batch in self._part(path, left):
                    yield batch
                    if batch[LAST][-1]:
                        del left[batch[VIDEO_ID][0]]
            except Exception as error:  # a damaged part must not stop the run
                if self.last_try:
                    yield from (self._failure(video, error) for video in left.values())

    def _part(self, path: str, videos: Mapping[str, Video]) -> Iterator[Columns]:
        store = FlowStore.open(self.store)
        part = PartVideos(path, {video_id: self.num_frames[video_id] for video_id in videos})
        runs = store.runs(part, [VIDEO_ID, FRAME, TIME_S, N_FRAMES, TRUNCATED, FLOW])
        for video_id, batches in itertools.groupby(runs, key=lambda rows: rows[VIDEO_ID][0].as_py()):
            yield from self._video(videos[video_id], batches, store.manifest.schema.field(FLOW))

    def _video(self, video: Video, batches: Iterable[pa.RecordBatch], field: pa.Field) -> Iterator[Columns]:
        """Batches of one video. The last rows are held back until those are known that their stacks reach to."""
        total, position = self.num_frames[video.video_id], 0
        held: list[pa.RecordBatch] = []
        for batch in batches:
            held.append(batch)
            read = position + sum(len(one) for one in held)
            while read - position >= self.batch_size + self.length - 1 or (read == total and position < total):
                rows = pa.Table.from_batches(held)
                count = min(self.batch_size, total - position)
                yield self._columns(video, rows, position, count, field)
                position += count
                held = rows.slice(count).to_batches()

    def _columns(self, video: Video, rows: pa.Table, position: int, count: int, field: pa.Field) -> Columns:
        needed = rows.slice(0, count + self.length - 1)
        flow, own = tensor_values(needed[FLOW], field), rows.slice(0, count)
        last = np.arange(position, position + count) == self.num_frames[video.video_id] - 1
        return {
            VIDEO_ID: np.full(count, video.video_id, object),
            LABEL: np.full(count, NO_LABEL if video.label is None else video.label, np.int16),
            FRAME: own[FRAME].to_numpy(),
            TIME_S: own[TIME_S].to_numpy(),
            POSITION: np.arange(position, position + count, dtype=np.int32),
            LAST: last,
            TRUNCATED: own[TRUNCATED].to_numpy() & last,
            IMAGE: stacked(flow[stack_rows([len(needed)], self.length)[:count]]),
        }


def flow_videos(store: FlowStore, labels: Mapping[str, int | None]) -> list[Video]:
    """Videos of a flow store as a run takes them, in the order of the parts.

    Args:
        store: flow store.
        labels: video ID → class ID, or None if it is unknown; other videos are left out.
    """
    row_bytes = 2 * store.manifest.input_size**2
    return [
        Video(video_id, part.path, labels[video_id], None, rows * row_bytes)
        for part in store.parts
        for video_id, rows in part.rows.items()
        if video_id in labels
    ]


def num_frames_of(videos: Sequence[Video], store: FlowStore) -> dict[str, int]:
    """Number of rows of each of these videos."""
    rows = {video_id: count for part in store.parts for video_id, count in part.rows.items()}
    return {video.video_id: rows[video.video_id] for video in videos}
