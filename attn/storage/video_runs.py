"""Runs of consecutive rows of a video in a part, found and checked batch by batch."""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from attn.schema import FRAME, N_FRAMES, VIDEO_ID


class Run(NamedTuple):
    """Consecutive rows of one video.

    Attributes:
        video_id: ID of the video.
        rows: number of rows.
        n_frames: value of that column in all of the rows; None if they disagree.
        first: frame index of the first row.
        last: frame index of the last row.
        in_order: whether the frame index increases from row to row.
    """

    video_id: str
    rows: int
    n_frames: int | None
    first: int
    last: int
    in_order: bool

    @property
    def whole(self) -> bool:
        """Whether the run holds `n_frames` rows, in order."""
        return self.in_order and self.rows == self.n_frames

    def joined(self, later: "Run") -> "Run":
        """Run of these rows and the later ones that follow directly."""
        return Run(
            self.video_id,
            self.rows + later.rows,
            self.n_frames if self.n_frames == later.n_frames else None,
            self.first,
            later.last,
            self.in_order and later.in_order and self.last < later.first,
        )


def find_runs(batches: Iterable[pa.RecordBatch]) -> Iterator[Run]:
    """Runs of a part, from batches of `video_id`, `n_frames` and `frame`; a run may span several batches.

    Raises:
        pyarrow.ArrowException: a row has no video ID.
    """
    run = None
    for later in itertools.chain.from_iterable(map(_of_batch, batches)):
        if run is None:
            run = later
        elif run.video_id == later.video_id:
            run = run.joined(later)
        else:
            yield run
            run = later
    if run is not None:
        yield run


def _of_batch(batch: pa.RecordBatch) -> list[Run]:
    if not batch.num_rows:
        return []
    ids = batch[VIDEO_ID].dictionary_encode()
    video = ids.indices.to_numpy()
    n_frames, frame = (batch[name].to_numpy(zero_copy_only=False) for name in (N_FRAMES, FRAME))
    starts = np.flatnonzero(np.diff(video, prepend=-1))
    stops = np.append(starts[1:], len(video))
    grows = np.diff(frame, prepend=-1) > 0
    grows[starts] = True
    in_order = np.logical_and.reduceat(grows, starts)
    agree = np.logical_and.reduceat(n_frames == np.repeat(n_frames[starts], stops - starts), starts)
    return [
        Run(
            ids.dictionary[video[start]].as_py(),
            int(stop - start),
            int(n_frames[start]) if same else None,
            frame[start],
            frame[stop - 1],
            bool(ordered),
        )
        for start, stop, same, ordered in zip(starts, stops, agree, in_order, strict=True)
    ]
