"""Opening of files as videos only: FFmpeg by default also opens playlists and other files that refer to more files."""

import contextlib
import os
from collections.abc import Iterator

import av
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from attn.errors import VideoError
from attn.video.reading import MOST_PIXELS
from attn.video.sandbox.confinement import pass_on_shortage

# Formats of real videos. FFmpeg's other formats are excluded regardless of the file name: playlists and lists of files,
# through which a video could show other files of this machine, and exotic, poorly maintained formats.
CONTAINERS = (
    "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpeg,mpegvideo,mpegts,asf,flv,live_flv,ogg,dv,mxf,nut,ivf,"
    "h263,h264,hevc,m4v,mjpeg,jpeg_pipe,vc1,av1,obu"
)
# A header may declare any size, and decoders allocate the memory for it at once.
SIZE_LIMIT = {"max_pixels": str(MOST_PIXELS)}
OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file", **SIZE_LIMIT}

STILLS = Disposition.attached_pic | Disposition.timed_thumbnails


@contextlib.contextmanager
def open_video_stream(path: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its main video stream (`_main_stream`), to be decoded on one core.

    FFmpeg follows no reference from the file to another file or to the network.

    Raises:
        VideoError: the file does not exist, is not a video, or has no decoder.
        MemoryError: memory is short.
    """
    try:
        container = av.open(os.path.abspath(path), metadata_errors="ignore", options=OPTIONS)
    except ArgumentError as error:
        raise VideoError(f"{path}: cannot be opened as a video: its format is not one of {CONTAINERS}") from error
    except (FFmpegError, OSError) as error:
        pass_on_shortage(error)
        raise VideoError(f"{path}: cannot be opened as a video: {error.strerror}") from error
    with container:
        stream = _main_stream(container)
        if stream is None:
            raise VideoError(f"{path}: contains no video stream")
        if stream.codec_context is None:
            raise VideoError(f"{path}: its codec has no decoder")
        stream.codec_context.options = SIZE_LIMIT
        stream.codec_context.thread_count = 1
        yield container, stream


def _main_stream(container: InputContainer) -> VideoStream | None:
    """Return the stream that a player shows: the default one, or FFmpeg's best if several or none are default.

    Cover art is never the main stream, and a single picture only if it is the only stream. FFmpeg's best stream
    (`av_find_best_stream`) is the one with several pictures at the start of the file, then the one with the highest bit
    rate.
    """
    moving = [stream for stream in container.streams.video if not stream.disposition & STILLS]
    several = [stream for stream in moving if stream.frames != 1] or moving
    likely = [stream for stream in several if stream.disposition & Disposition.default] or several
    best = container.streams.best("video")
    return next((stream for stream in likely if stream is best), likely[0] if likely else None)
