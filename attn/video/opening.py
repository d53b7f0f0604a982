"""Opening a file as a video and as nothing else: FFmpeg would follow, and believe, whatever a file says."""

import contextlib
import os
from collections.abc import Iterator

import av
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from attn.errors import VideoError
from attn.video.confinement import pass_on_shortage
from attn.video.reading import MOST_PIXELS

# Of real videos. Whatever a file is called, it is no other format of FFmpeg's: no playlist or list of files, by which a
# video could show other files of this machine, and none of the exotic ones that no one looks after.
CONTAINERS = (
    "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpeg,mpegvideo,mpegts,asf,flv,live_flv,ogg,dv,mxf,nut,ivf,"
    "h263,h264,hevc,m4v,mjpeg,jpeg_pipe,vc1,av1,obu"
)
# A header may claim any size, and decoders take the memory for it at once.
SIZE_LIMIT = {"max_pixels": str(MOST_PIXELS)}
OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file", **SIZE_LIMIT}

STILLS = Disposition.attached_pic | Disposition.timed_thumbnails


@contextlib.contextmanager
def open_video_stream(path: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A file and its film, one of its video streams (`_film`), to be decoded on one core.

    FFmpeg follows no link from the file to another one or to the network.

    Raises:
        VideoError: no such file, no video, or no decoder for it.
        MemoryError: as anywhere.
    """
    try:
        container = av.open(os.path.abspath(path), metadata_errors="ignore", options=OPTIONS)
    except ArgumentError as error:
        raise VideoError(f"{path}: cannot be opened as a video: its format is none of {CONTAINERS}") from error
    except (FFmpegError, OSError) as error:
        pass_on_shortage(error)
        raise VideoError(f"{path}: cannot be opened as a video: {error.strerror}") from error
    with container:
        stream = _film(container)
        if stream is None:
            raise VideoError(f"{path}: holds no video stream")
        if stream.codec_context is None:
            raise VideoError(f"{path}: no decoder for its codec")
        stream.codec_context.options = SIZE_LIMIT
        stream.codec_context.thread_count = 1
        yield container, stream


def _film(container: InputContainer) -> VideoStream | None:
    """The stream that a player shows: the default one; of several or none, the best in FFmpeg's view.

    Neither cover art is a film nor, next to another stream, a single picture. FFmpeg's view (`av_find_best_stream`) is:
    the stream with several pictures at the start of the file, then the one with the most bits a second.
    """
    moving = [stream for stream in container.streams.video if not stream.disposition & STILLS]
    films = [stream for stream in moving if stream.frames != 1] or moving
    likely = [stream for stream in films if stream.disposition & Disposition.default] or films
    best = container.streams.best("video")
    return next((stream for stream in likely if stream is best), likely[0] if likely else None)
