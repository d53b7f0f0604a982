"""Where the rows of videos stand in a part, and whether they are what they say, found a batch at a time."""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from attn.schema import FRAME, N_FRAMES, VIDEO_ID


class Run(NamedTuple):
    """Rows of one video that stand together.

    Attributes:
        n_frames: what each of them says; None where they disagree.
        first: frame of the first row.
        last: frame of the last row.
        in_order: the frames between grow.
    """

    video_id: str
    rows: int
    n_frames: int | None
    first: int
    last: int
    in_order: bool

    @property
    def whole(self) -> bool:
        """Are they as many as they say, in order?"""
        return self.in_order and self.rows == self.n_frames

    def joined(self, later: "Run") -> "Run":
        """The rows of both, of which the later ones follow at once."""
        return Run(
            self.video_id,
            self.rows + later.rows,
            self.n_frames if self.n_frames == later.n_frames else None,
            self.first,
            later.last,
            self.in_order and later.in_order and self.last < later.first,
        )


def find_runs(batches: Iterable[pa.RecordBatch]) -> Iterator[Run]:
    """The runs of a part, a batch of `video_id`, `n_frames` and `frame` at a time; one may go on in the next batch.

    Raises:
        pyarrow.ArrowException: a row is of no video.
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
