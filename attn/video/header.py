"""What the header of a video declares about its length. It may be wrong; only decoding tells how many frames there are.

Even this is a look by FFmpeg, which decodes some frames where the header says little: a matter for the process that
may be killed (`guard.FrameReader.header`).
"""

from attn.video.opening import open_video_stream
from attn.video.reading import MOST_DECLARED, VideoHeader

USUAL_RATE = 25


def read_header(path: str) -> VideoHeader:
    """The header of a video, opened in this process.

    Raises:
        VideoError: no such file, no video, or no decoder for it.
    """
    with open_video_stream(path) as (container, stream):
        rates = (stream.average_rate, stream.guessed_rate, USUAL_RATE)
        rate = float(next(rate for rate in rates if rate and rate > 0))
        frames = stream.frames or float(container.duration or 0) / 1e6 * rate
    return VideoHeader(rate, float(min(max(frames, 0), MOST_DECLARED)))
