"""Length that the header of a video declares. It may be wrong; only decoding counts the frames.

If the header declares little, FFmpeg decodes some frames even for this. Call it in the decoder process, which may be
killed (`guard.FrameReader.header`).
"""

from attn.video.opening import open_video_stream
from attn.video.reading import MOST_DECLARED, VideoHeader

USUAL_RATE = 25


def read_header(path: str) -> VideoHeader:
    """Read the header of a video in this process.

    Raises:
        VideoError: the file does not exist, is not a video, or has no decoder.
    """
    with open_video_stream(path) as (container, stream):
        rates = (stream.average_rate, stream.guessed_rate, USUAL_RATE)
        rate = float(next(rate for rate in rates if rate and rate > 0))
        frames = stream.frames or float(container.duration or 0) / 1e6 * rate
    return VideoHeader(rate, float(min(max(frames, 0), MOST_DECLARED)))
