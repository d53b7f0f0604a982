"""A video file in, its kept frames out, each with its exact place in the source.

Two decoders stand behind one function. PyAV is right on every file we know and the faster one: it gave 2 to 3 times
decord's kept frames per CPU second on UCF101, HMDB51 and UT-Interaction clips and 1.2 times on 720p H.264 ones, at
stride 5 (bench/decode.py). Hence `auto` is PyAV. Who asks for decord gets it where it is right
(`decord_decoder.frame_times`) and PyAV elsewhere; the end record tells which it was.
"""

from collections.abc import Callable, Generator

from attn.video.decord_decoder import decord_frames
from attn.video.pyav_decoder import pyav_frames
from attn.video.reading import DecoderName, Frame, Reading, VideoEnd
from attn.video.sample import Keep, Sampling

FRAMES_PER_SIGN = 16


def read_frames(
    path: str, sampling: Sampling, decoder: DecoderName = "auto", alive: Callable[[], object] = lambda: None
) -> Reading[Frame]:
    """Kept frames of a video, decoded in this process: a file that crashes FFmpeg ends it (see `guard`).

    Args:
        path: of a file on this machine.
        sampling: which frames to keep; only these are converted to RGB.
        decoder: auto, pyav or decord.
        alive: called with every 16th frame, kept or not.

    Raises:
        VideoError: while reading, when nothing at all can be decoded.
    """

    def start() -> Keep:
        keep = sampling.start()

        def keep_and_tell(index: int, time_s: float) -> bool:
            if index % FRAMES_PER_SIGN == 0:
                alive()
            return keep(index, time_s)

        return keep_and_tell

    return Reading(_frames(path, start, decoder))


def _frames(path: str, start: Callable[[], Keep], decoder: DecoderName) -> Generator[Frame, None, VideoEnd]:
    if decoder == "decord":
        with_decord = decord_frames(path, start())
        first = next(with_decord, None)
        if first is not None:
            yield first
            return (yield from with_decord)
    return (yield from pyav_frames(path, start()))
