"""Decoding with decord, for videos on which it is correct; used only on request.

decord miscounts frames after a seek in AVI with B-frames, repeats the last frame until the declared count is reached,
and ignores rotation, pixels that are not square, and variable frame rates. Its pixels equal PyAV's except for the
inverse cosine transform of its old FFmpeg: 157 of 55 million values of a UCF101 clip differ, by at most 2. It guesses
the damaged parts of pictures without marking them; PyAV stops there.
"""

import errno
import itertools
import os
from collections.abc import Generator

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from attn.errors import VideoError
from attn.video.aspect import is_square
from attn.video.gop_tails import INTRA, PREDICTED, picture_type
from attn.video.opening import open_video_stream
from attn.video.orientation import Orientation, orientation_of
from attn.video.reading import Frame, VideoEnd
from attn.video.sample import Keep
from attn.video.sandbox.confinement import pass_on_shortage

# Formats on which decord was compared with PyAV; all others are decoded with PyAV.
TRIED_CONTAINERS = frozenset({"avi", "mov,mp4,m4a,3gp,3g2,mj2"})
TRIED_CODECS = frozenset({"mpeg4", "h264"})
TRIED_FORMATS = frozenset({"yuv420p"})


# Messages of decord's error if a limit (EAGAIN) or the system call filter (EPERM) prevents it from starting a thread.
NO_THREAD = {os.strerror(errno.EAGAIN), os.strerror(errno.EPERM)}


class NoThreadError(Exception):
    """decord could not start a thread; it needs one for every gap between sampled frames. The video is not at fault."""


def decord_frames(path: str, keep: Keep) -> Generator[Frame, None, VideoEnd]:
    """Yield the sampled frames of a video. There are none if decord is not correct on it or cannot read it.

    Raises:
        NoThreadError: decord cannot start another thread after the first frames; this process cannot continue.
    """
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    times_s = frame_times(path)
    try:
        reader = decord.VideoReader(os.path.abspath(path), num_threads=1) if times_s else []
    except (decord.DECORDError, RuntimeError, UnicodeEncodeError):
        return VideoEnd(truncated=True, decoder="decord")
    if len(reader) != len(times_s):
        return VideoEnd(truncated=True, decoder="decord")
    return (yield from _kept(reader, times_s, keep))


def _kept(reader, times_s: list[float], keep: Keep) -> Generator[Frame, None, VideoEnd]:
    import decord

    passed = 0
    for index, time_s in enumerate(times_s):
        if not keep(index, time_s):
            passed += 1
            continue
        try:
            if passed:
                reader.skip_frames(passed)
            rgb = reader.next().asnumpy()
        except (decord.DECORDError, StopIteration) as error:
            if str(error).strip() in NO_THREAD:
                raise NoThreadError from error
            return VideoEnd(truncated=True, decoder="decord")
        passed = 0
        yield Frame(index, time_s, rgb)
    return VideoEnd(truncated=False, decoder="decord")


def frame_times(path: str) -> list[float]:
    """Return the times of all frames in seconds if decord is correct on the video, otherwise an empty list.

    decord is correct if the container, codec and pixel format were tested, without B-frames (the display order is the
    decoding order) or rotation, with square pixels, a constant frame rate, and as many packets as the header declares.
    This is certain only after a pass over all packets of the file.
    """
    try:
        with open_video_stream(path) as (container, stream):
            return _constant_rate_times(container, stream) if _is_tried(container, stream) else []
    except (VideoError, FFmpegError) as error:
        pass_on_shortage(error)
        return []


def _is_tried(container: InputContainer, stream: VideoStream) -> bool:
    context = stream.codec_context
    return (
        container.format.name in TRIED_CONTAINERS
        and context.name in TRIED_CODECS
        and context.pix_fmt in TRIED_FORMATS
        and len(container.streams.video) == 1
        and is_square(stream.sample_aspect_ratio)
    )


def _constant_rate_times(container: InputContainer, stream: VideoStream) -> list[float]:
    stamps: list[int] = []
    upright: bool | None = None  # known after the first frame
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if _is_wrong(packet):
            return []
        if upright is None:
            upright = next((orientation_of(frame) == Orientation() for frame in packet.decode()), None)
        stamps.append(packet.pts or 0)
    steps = {later - earlier for earlier, later in itertools.pairwise(stamps)}
    if not upright or len(stamps) != stream.frames or len(steps) > 1 or min(steps, default=1) <= 0:
        return []
    tick_s = float(stream.time_base or 0)
    return [stamp * tick_s for stamp in stamps]


def _is_wrong(packet: "Packet[VideoStream]") -> bool:
    """Return whether decord may be wrong because of this packet.

    AVI does not declare B-frames, and FFmpeg finds only those near the beginning; MPEG-4 pictures state their type.
    """
    if packet.is_corrupt or packet.is_discard or packet.pts is None or packet.pts != packet.dts:
        return True
    return packet.stream.codec_context.name == "mpeg4" and picture_type(packet) not in (INTRA, PREDICTED)
