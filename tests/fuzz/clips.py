"""Source clips: small, in many containers and codecs, the same bytes in every process of one FFmpeg."""

import dataclasses
import functools
import io
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
REAL_FOLDERS = ("ucf101", "hmdb51", "ut-interaction", "sports")
SAMPLE_RATE = 16000
FRAMES, HEIGHT, WIDTH = 30, 48, 64
NOTHING: Mapping[str, str] = MappingProxyType({})
EXACT = {"flags": "+bitexact"}  # else versions and random numbers are written into the file


@dataclasses.dataclass(frozen=True)
class Clip:
    """A file in memory; `suffix` is the extension that belongs to it."""

    name: str
    suffix: str
    data: bytes


def encode(
    container: str,
    codec: str,
    pix_fmt: str = "yuv420p",
    *,
    frames: int = FRAMES,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    rate: Fraction | int = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    sound: str | None = None,
    b_frames: int = 0,
    options: Mapping[str, str] = NOTHING,
    mux: Mapping[str, str] = NOTHING,
) -> bytes:
    """A file whose pictures drift.

    Args:
        container: FFmpeg's name of the format.
        codec: FFmpeg's name of the encoder.
        pix_fmt: what it is given.
        frames: how many.
        size: rows, columns.
        rate: frames a second.
        pts: time stamps (default: one after the other), in ticks of `time_base`.
        time_base: of a tick (default: of a frame).
        sound: encoder of a tone as long as the pictures.
        b_frames: most in a row.
        options: of the encoder.
        mux: options of the format.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=container, options={"fflags": "+bitexact", **mux}) as out:
        settings = {**EXACT, "g": "12", **options}
        stream = cast("VideoStream", out.add_stream(codec, rate=Fraction(rate), options=settings))
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        stream.thread_count = 1
        if time_base is not None:
            stream.time_base = stream.codec_context.time_base = time_base
        stream.codec_context.max_b_frames = b_frames
        voice = cast("AudioStream", out.add_stream(sound, SAMPLE_RATE, EXACT, layout="mono")) if sound else None
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(i, *size), "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = (pts[i] if pts else i), time_base or 1 / Fraction(rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if voice is not None:
            for samples in (_tone(frames / Fraction(rate)), None):
                out.mux(voice.encode(samples))
    return file.getvalue()


def picture(number: int, height: int, width: int) -> np.ndarray:
    """Slanted waves that drift with the number."""
    rows, cols = np.mgrid[0:height, 0:width]
    return np.stack([rows * 3 + 5 * number, cols * 2 + 3 * number, rows + cols - number], -1).astype(np.uint8)


def _tone(duration_s: Fraction) -> av.AudioFrame:
    samples = (8000 * np.sin(np.arange(int(duration_s * SAMPLE_RATE)) / 9)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
    return frame


VARIABLE = [0, 40, 80, 400, 440, 1200, 1240, 1280, 1320, 2400, 2440, 2480]  # in milliseconds
H264 = {"preset": "ultrafast", "x264-params": "threads=1"}
ONE_THREAD = {"x265-params": "pools=1:log-level=none"}
REALTIME = {"deadline": "realtime"}

MAKERS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "mpeg4": (".avi", lambda: encode("avi", "mpeg4")),
    "b-frames": (".avi", lambda: encode("avi", "mpeg4", b_frames=2)),
    "sound": (".avi", lambda: encode("avi", "mpeg4", sound="pcm_s16le")),
    "mjpeg": (".avi", lambda: encode("avi", "mjpeg", "yuvj420p")),
    "h264": (".mp4", lambda: encode("mp4", "libx264", b_frames=2, options=H264)),
    "h264-sound": (".mp4", lambda: encode("mp4", "libx264", sound="aac", options=H264)),
    "fragments": (
        ".mp4",
        lambda: encode("mp4", "libx264", mux={"movflags": "frag_keyframe+empty_moov+default_base_moof"}, options=H264),
    ),
    "rotated": (".mp4", lambda: rotated(encode("mp4", "mpeg4"))),
    "odd": (".mov", lambda: encode("mov", "libx264", "yuv444p", size=(47, 63), options=H264)),
    "prores": (".mov", lambda: encode("mov", "prores_ks", "yuv422p10le", frames=6)),
    "h264-mkv": (".mkv", lambda: encode("matroska", "libx264", b_frames=2, options=H264)),
    "variable": (
        ".mkv",
        lambda: encode("matroska", "mpeg4", frames=len(VARIABLE), pts=VARIABLE, time_base=Fraction(1, 1000)),
    ),
    "ffv1": (".mkv", lambda: encode("matroska", "ffv1", "bgr0", frames=8)),
    "vp9": (".webm", lambda: encode("webm", "libvpx-vp9", frames=16, options={"cpu-used": "8", **REALTIME})),
    "vp8-sound": (".webm", lambda: encode("webm", "libvpx", sound="libopus", options=REALTIME)),
    "hevc": (".mp4", lambda: encode("mp4", "libx265", options={"preset": "ultrafast", **ONE_THREAD})),
    "stream": (".ts", lambda: encode("mpegts", "libx264", sound="mp2", b_frames=2, options=H264)),
    "program": (".mpg", lambda: encode("mpeg", "mpeg2video", b_frames=2)),
    "flash": (".flv", lambda: encode("flv", "flv")),
    "windows": (".wmv", lambda: encode("asf", "wmv2")),
    "telephone": (".3gp", lambda: encode("3gp", "h263", size=(96, 128), rate=Fraction(30000, 1001))),
    "ogg": (".avi", lambda: encode("ogg", "libvpx", options=REALTIME)),
}


@functools.cache
def generated_clips() -> tuple[Clip, ...]:
    """One of each."""
    return tuple(Clip(name, suffix, make()) for name, (suffix, make) in MAKERS.items())


@functools.cache
def real_clips() -> tuple[Clip, ...]:
    """The smallest of each real data set that is present; none where there are none."""
    folders = (REAL_DATA / name for name in REAL_FOLDERS)
    files = ([path for kind in ("avi", "mp4") for path in folder.rglob(f"*.{kind}")] for folder in folders)
    smallest = (min(found, key=lambda path: (path.stat().st_size, path.name)) for found in files if found)
    return tuple(Clip(path.stem, path.suffix, path.read_bytes()) for path in smallest)


def rotated(mp4: bytes) -> bytes:
    """The same with a display matrix that turns it by a quarter."""
    start = mp4.index(b"tkhd") + 44
    one, unit = 1 << 16, 1 << 30
    matrix = b"".join(n.to_bytes(4, "big", signed=True) for n in (0, one, 0, -one, 0, 0, 0, 0, unit))
    return mp4[:start] + matrix + mp4[start + len(matrix) :]
