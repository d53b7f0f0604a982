"""Decoding of videos into pairs of consecutive frames, the input of optical flow."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from attn.schema import IMAGE
from attn.stages.decode_videos import Columns, DecodeVideos
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video


@dataclasses.dataclass
class DecodePairs(DecodeVideos):
    """Decode videos into batches of pairs: each kept frame with the next one, IMAGE [frame, 2, row, col, rgb].

    A video has as many pairs as frames. The last pair is the one before it again, so the flow of the last frame repeats
    that of the frame before. A single frame is paired with itself.
    """

    @property
    def frame_bytes(self) -> int:
        return 2 * super().frame_bytes

    def _rows(self, video: Video, reader: FrameReader) -> Iterator[Columns]:
        """Rows of one video. Each chunk is held back until the first frame of the next one is known."""
        held: Columns | None = None
        last_pair: np.ndarray | None = None
        for rows in super()._rows(video, reader):
            images = rows[IMAGE]
            if held is not None:
                held[IMAGE][-1, 1] = images[0]
                last_pair = held[IMAGE][-1]
                yield held
            held = {**rows, IMAGE: _pairs(images)}
        if held is not None:
            pairs = held[IMAGE]
            if len(pairs) > 1:
                pairs[-1] = pairs[-2]
            elif last_pair is not None:
                pairs[-1] = last_pair
            yield held


def _pairs(images: np.ndarray) -> np.ndarray:
    """Pair each image with the next, and the last with itself; a copy, because the reader reuses its memory."""
    return np.stack([images, np.concatenate([images[1:], images[-1:]])], axis=1)
