"""Decoding of a video file to its sampled frames, each with its exact position in the video.

There are two decoders. PyAV is correct on every file that was tested, and faster: at stride 5, it yields 2 to 3 times
decord's sampled frames per CPU second on UCF101, HMDB51 and UT-Interaction clips, and 1.2 times on 720p H.264 clips
(bench/decode.py). `auto` is therefore PyAV. `decord` decodes the videos on which decord is correct
(`decord_decoder.frame_times`) with decord, and the others with PyAV; the end record names the decoder.
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
    """Return the sampled frames of a video, decoded in this process. A file that crashes FFmpeg ends it (see `guard`).

    Args:
        path: local path of the video.
        sampling: rule that selects the frames; only these are converted to RGB.
        decoder: auto, pyav or decord.
        alive: called at every 16th frame, sampled or not.

    Raises:
        VideoError: no frame can be decoded; raised while reading.
    """

    def start() -> Keep:
        keep = sampling.start()

        def keep_and_signal(index: int, time_s: float) -> bool:
            if index % FRAMES_PER_SIGN == 0:
                alive()
            return keep(index, time_s)

        return keep_and_signal

    return Reading(_frames(path, start, decoder))


def _frames(path: str, start: Callable[[], Keep], decoder: DecoderName) -> Generator[Frame, None, VideoEnd]:
    if decoder == "decord":
        with_decord = decord_frames(path, start())
        first = next(with_decord, None)
        if first is not None:
            yield first
            return (yield from with_decord)
    return (yield from pyav_frames(path, start()))
