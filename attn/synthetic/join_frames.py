"""Frames of joined clips: shown at the new frame rate, held and panned as stills, and faded into each other."""

import itertools
import logging
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
from PIL import Image

from attn.datasets.thumos14 import AMBIGUOUS
from attn.errors import VideoError
from attn.synthetic.annotated_video import IDLE, RAMP_S, LabelledFrame
from attn.synthetic.encode import Picture
from attn.synthetic.join_plan import Clip, Stretch
from attn.video.sample import STAMP_TOLERANCE_S, Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.source import open_video

log = logging.getLogger(__name__)

ZOOM = 0.25
"""Enlargement of a still frame at the start of its zoom; at the end, the whole frame is shown."""
LONE_FRAME_S = 0.04
"""Duration of the only frame of a clip."""


class ClipPlayer:
    """Player of clips at the new size and frame rate. It holds a few frames, however long the clips are.

    Args:
        reader: reader of the files, in a confined process.
        size: width and height of the frames in pixels; a frame's central square is shown.

    Attributes:
        failed: IDs of the clips that could not be read, and why; what was read of them is shown.
    """

    def __init__(self, reader: FrameReader, size: int):
        self._reader, self._size = reader, size
        self.failed: dict[str, str] = {}

    def frames(self, stretches: Iterable[Stretch], fps: Fraction) -> Iterator[LabelledFrame]:
        """Yield the labelled frames of a video. Between an action and idle time, they fade for `RAMP_S` seconds."""
        last: LabelledFrame | None = None
        for stretch in stretches:
            starts = True
            for picture in self._stretch(stretch, fps):
                if starts and last is not None and last[0] != stretch.label:
                    yield from faded(last[1], picture, round(RAMP_S * fps))
                starts, last = False, (stretch.label, picture)
                yield last

    def _stretch(self, stretch: Stretch, fps: Fraction) -> Iterator[Picture]:
        if stretch.still:
            first = next(self._clip(stretch.clips[0], fps), None)
            return iter(()) if first is None else zoomed(first, round(stretch.most_s * fps), stretch.most_s)
        pictures = itertools.chain.from_iterable(self._clip(clip, fps) for clip in stretch.clips)
        return pictures if stretch.label != IDLE else itertools.islice(pictures, round(stretch.most_s * fps))

    def _clip(self, clip: Clip, fps: Fraction) -> Iterator[Picture]:
        try:
            with open_video(clip.video) as path:
                chunks = self._reader.read(path, Stride(1), self._size)
                timed = (pair for chunk in chunks for pair in zip(chunk.time_s.tolist(), chunk.images, strict=True))
                yield from at_rate(timed, fps)
        except VideoError as error:
            if clip.video.video_id not in self.failed:
                log.warning("%s", error)
            self.failed[clip.video.video_id] = str(error)


def at_rate(frames: Iterable[tuple[float, Picture]], fps: Fraction) -> Iterator[Picture]:
    """Yield the picture that is shown at each of the instants 0, 1/fps, 2/fps, … after the first frame.

    The last frame lasts as long as the one before it.

    Args:
        frames: frames with their times in seconds, ascending.
        fps: frames per second of the result.
    """
    begin_s = last_s = 0.0
    step_s, count, held = LONE_FRAME_S, 0, None
    for time_s, picture in frames:
        if held is None:
            begin_s = time_s
        else:
            step_s = time_s - last_s
            while count / fps < time_s - begin_s - STAMP_TOLERANCE_S:
                yield held
                count += 1
        held, last_s = picture, time_s
    while held is not None and count / fps < last_s + step_s - begin_s - STAMP_TOLERANCE_S:
        yield held
        count += 1


def zoomed(picture: Picture, count: int, phase: float) -> Iterator[Picture]:
    """Yield a slow zoom out of a still picture, with a pan; it ends at the whole picture.

    Args:
        picture: RGB picture.
        count: number of frames.
        phase: direction that the zoom comes from, as an angle.
    """
    image, size = Image.fromarray(picture), np.array(picture.shape[1::-1], float)
    toward = np.array([np.cos(phase), np.sin(phase)])
    for i in range(count):
        margin = size * (1 - 1 / (1 + ZOOM * (1 - (i + 1) / count)))
        corner = margin / 2 * (1 + toward)
        box = (*corner.tolist(), *(corner + size - margin).tolist())
        yield np.asarray(image.resize(image.size, Image.Resampling.BILINEAR, box=box))


def faded(first: Picture, second: Picture, count: int) -> Iterator[LabelledFrame]:
    """Yield frames from one picture to another, all Ambiguous; the pictures themselves are not among them."""
    for i in range(1, count + 1):
        share = i / (count + 1)
        mixed = (1 - share) * first.astype(np.float32) + share * second.astype(np.float32)
        yield AMBIGUOUS, mixed.round().astype(np.uint8)
