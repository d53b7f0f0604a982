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
# video could show other files of this machine, and none of the exotic ones that nobody looks after.
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
    """A file and its first stream of moving pictures (cover art is none), to be decoded on one core.

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
        streams = [stream for stream in container.streams.video if not stream.disposition & STILLS]
        if not streams:
            raise VideoError(f"{path}: holds no video stream")
        if streams[0].codec_context is None:
            raise VideoError(f"{path}: no decoder for its codec")
        streams[0].codec_context.options = SIZE_LIMIT
        streams[0].codec_context.thread_count = 1
        yield container, streams[0]
