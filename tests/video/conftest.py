"""Generated clips whose frames are known, and the oracle for all others: PyAV from the first frame to the last."""

import itertools
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

Images = Sequence[np.ndarray]
WriteClip = Callable[..., Path]

ONE, UNIT = 1 << 16, 1 << 30  # 1.0 in the two fixed-point formats of a display matrix


@pytest.fixture(scope="session")
def numbered():
    """Images of one size that all differ, in every pixel's neighbourhood, made from their numbers."""

    def make(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
        texture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        return [np.roll(texture, (3 * i, i), (0, 1)) + np.uint8((i + i // 256) % 256) for i in range(count)]

    return make


@pytest.fixture(scope="session")
def smooth():
    """Images that lossy codecs compress well: a pattern of gradients that drifts."""

    def make(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
        rows, cols = np.mgrid[0:height, 0:width]
        return [np.stack([rows + 5 * i, 2 * cols + 3 * i, rows + cols], -1).astype(np.uint8) for i in range(count)]

    return make


@pytest.fixture(scope="session")
def write_clip(tmp_path_factory: pytest.TempPathFactory) -> WriteClip:
    """Encodes images; lossless as they are by default (ffv1 in the bgr0 format)."""
    folder, numbers = tmp_path_factory.mktemp("clips"), itertools.count()

    def write(
        images: Images,
        suffix: str = ".mkv",
        codec: str = "ffv1",
        pix_fmt: str = "bgr0",
        *,
        rate: int = 25,
        pts: Sequence[int] | None = None,
        most_b_frames: int = 0,
        name: str | None = None,
        **options: str,
    ) -> Path:
        path = folder / (name or f"clip{next(numbers)}{suffix}")
        container_options = {key: options.pop(key) for key in ("movflags",) if key in options}
        with av.open(str(path), "w", options=container_options) as container:
            stream = cast("VideoStream", container.add_stream(codec, rate=Fraction(rate), options=options))
            stream.height, stream.width = images[0].shape[:2]
            stream.pix_fmt = pix_fmt
            stream.thread_count = 1
            stream.codec_context.max_b_frames = most_b_frames
            for i, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(image, "rgb24")
                frame.pts, frame.time_base = (pts[i] if pts else i), Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def with_display_matrix():
    """A copy of an MP4 file whose track is shown through a matrix (a, b, c, d)."""

    def write(path: Path, matrix: tuple[int, int, int, int]) -> Path:
        a, b, c, d = (value * ONE for value in matrix)
        data = bytearray(path.read_bytes())
        start = data.index(b"tkhd") + 4 + 40  # the name; the fields of a version 0 header before the matrix
        data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, UNIT)
        turned = path.with_name(f"{path.stem}-{'_'.join(map(str, matrix))}.mp4")
        turned.write_bytes(data)
        return turned

    return write


@pytest.fixture(scope="session")
def sequential():
    """The frames of a file, or every n-th."""

    def decode(path: Path | str, every: int = 1) -> list[np.ndarray]:
        with av.open(str(path), metadata_errors="ignore") as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            kept = itertools.islice(container.decode(stream), 0, None, every)
            return [frame.to_ndarray(format="rgb24") for frame in kept]

    return decode


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`real_clip`: every real clip at hand, one test each; `some_real_clip`: few, of every origin."""
    root = Path(__file__).resolve().parents[3] / "shared" / "data"
    clips = sorted(path for kind in ("avi", "mp4") for path in root.rglob(f"*.{kind}"))
    some = [clip for clip in clips if clip.parent.name != "set1" or clip.stem == "17_3_0"]
    absent = [pytest.param(None, marks=pytest.mark.skip(reason="real data not present"))]
    for name, wanted in (("real_clip", clips), ("some_real_clip", some)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, wanted or absent, ids=lambda clip: getattr(clip, "stem", "none"))
