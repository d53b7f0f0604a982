"""Which of several video streams is the film."""

from fractions import Fraction

import av
import pytest
from av.stream import Disposition

from attn.video.decode import read_frames
from attn.video.decord_decoder import frame_times
from attn.video.header import read_header
from attn.video.sample import Stride

NONE, DEFAULT = Disposition(0), Disposition.default
FILM_SIZE = (24, 32)


@pytest.fixture
def write(smooth, tmp_path):
    """A file of several video streams, each a codec, a number of frames, a size and a disposition."""

    def run(suffix, *streams):
        path = tmp_path / f"several{suffix}"
        with av.open(str(path), "w") as container:
            packets = [add(container, smooth, *stream) for stream in streams]
            for packet in [packet for each in packets for packet in each]:
                container.mux(packet)
        return path

    return run


def add(container, smooth, codec, count, size, disposition):
    stream = container.add_stream(codec, rate=Fraction(25))
    stream.height, stream.width = size
    stream.pix_fmt = {"png": "rgb24", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
    stream.disposition = disposition
    packets = []
    for i, image in enumerate(smooth(count, *size)):
        frame = av.VideoFrame.from_ndarray(image, "rgb24")
        frame.pts, frame.time_base = i, Fraction(1, 25)
        packets += stream.encode(frame)
    return [*packets, *stream.encode(None)]


STILL, FILM = ("{still}", 1, (48, 64)), ("libx264", 20, FILM_SIZE)
STREAMS = {
    "a default film": [(*STILL, NONE), (*FILM, DEFAULT)],
    "a default film next to a large one": [("mpeg4", 20, (96, 128), NONE), (*FILM, DEFAULT)],
    "a film before a picture": [(*FILM, DEFAULT), (*STILL, NONE)],
    "all are default": [(*STILL, DEFAULT), (*FILM, DEFAULT)],
    "a default picture": [(*STILL, DEFAULT), (*FILM, NONE)],
}
KINDS = [(".mkv", "mjpeg"), (".mp4", "mjpeg"), (".mp4", "png")]
CASES = [(name, *kind) for name in STREAMS for kind in KINDS if (name, *kind) != ("a default picture", *KINDS[0])]


@pytest.mark.parametrize(("name", "suffix", "still"), CASES)
def test_the_film_is_the_default_stream_or_the_one_that_ffmpeg_would_take(name, suffix, still, write):
    path = write(suffix, *((codec.format(still=still), *others) for codec, *others in STREAMS[name]))
    frames = read_frames(str(path), Stride(1))
    assert [frame.rgb.shape[:2] for frame in frames] == [FILM_SIZE] * 20
    assert not frames.end.truncated
    assert read_header(str(path)).frames == pytest.approx(20, abs=1)
    assert frame_times(str(path)) == []  # decord has a rule of its own
