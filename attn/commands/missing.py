"""Check whether another run could add missing videos to a store: unreadable videos stay missing."""

from collections.abc import Sequence

from attn.errors import FleetingError, VideoError
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video, open_video

MOST_TRIED = 20
SIDE = 32  # pixels; a small frame suffices for the check
TIMEOUT_S = 60.0


def unreadable_videos(videos: Sequence[Video]) -> dict[str, str]:
    """Try the first `MOST_TRIED` videos and return permanent read errors by video ID."""
    with FrameReader() as reader:
        found = {video.video_id: _why(video, reader) for video in videos[:MOST_TRIED]}
    return {video_id: why for video_id, why in found.items() if why is not None}


def _why(video: Video, reader: FrameReader) -> str | None:
    try:
        with open_video(video) as path:
            chunk = next(iter(reader.read(path, Stride(1), SIDE, "auto", TIMEOUT_S)), None)
    except FleetingError:
        return None
    except VideoError as error:
        return " ".join(str(error).split())
    return None if chunk is not None else f"{video.where}: contains no frame"
