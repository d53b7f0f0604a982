#!/usr/bin/env python
"""Benchmark of decoding: speed relative to direct use of the decoders, and overhead of the guard process.

The figures are kept frames per CPU second at stride 5, with one thread per decoder and including child processes: our
reader with the guard, our reader in this process, and PyAV, decord and torchcodec used directly. All produce arrays of
RGB frames, at full size and resized to 224. Decoders alternate on each file, in alternating order, and medians are
shown. `ratio` is our speed relative to the fastest direct use that returns the right frames (decord and torchcodec
return wrong ones for AVI files with B-frames, marked *). `guard` is the additional CPU time with the guard, relative to
the neighbouring turn without it: the median and its 95 % interval, because single turns on a shared machine vary a lot.
"""

import collections
import contextlib
import dataclasses
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import decord
import numpy as np
import tyro
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from attn.video.chunks import gather
from attn.video.decode import read_frames
from attn.video.reading import Reading
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.transform import resize_and_crop

STRIDE = 5
SIZE = 224
OURS, UNGUARDED = "ours", "no guard"
CLIPS = {"mpeg4.avi": ("mpeg4", 0), "mpeg4-b.avi": ("mpeg4", 2), "h264.mp4": ("libx264", 3)}
CPUCLOCK_SCHED = 2  # Linux: low bits of the ID of another process's CPU clock
MOST_DIFFERENCE = 3  # decord's old FFmpeg computes the inverse cosine transform differently

Decode = Callable[[str, int | None], Iterable[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Options:
    videos: tuple[str, ...] = ()
    """Video files (default: three generated clips)."""
    repeats: int = 11
    """Number of turns of each decoder."""
    guard_repeats: int = 201
    """Number of additional turns of our reader with and without the guard."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        if "LD_LIBRARY_PATH" not in os.environ:
            raise SystemExit(run_with_ffmpeg_for_torchcodec(Path(folder)))
        videos = list(options.videos) or make_clips(Path(folder))
        with FrameReader() as reader:
            decoders: dict[str, Decode] = {
                OURS: lambda path, size: (chunk.images for chunk in reader.read(path, Stride(STRIDE), size)),
                UNGUARDED: unguarded,
                "PyAV": pyav,
                "decord": decord_batch,
                **torchcodec(),
            }
            right = {(name, video): is_right(decode, video) for name, decode in decoders.items() for video in videos}
            for size in (None, SIZE):
                seconds = measure(decoders, videos, size, options.repeats, reader)
                both = {name: decoders[name] for name in (OURS, UNGUARDED)}
                show(seconds, measure(both, videos, size, options.guard_repeats, reader), videos, size, right)


def run_with_ffmpeg_for_torchcodec(folder: Path) -> int:
    """Run this script again with PyAV's bundled FFmpeg on the library path, under the names torchcodec expects."""
    bundled = Path(av.__file__).parents[1] / "av.libs"
    for library in bundled.glob("lib*-*.so.*"):
        name, version = library.name.split(".so.")
        (folder / f"{name.rsplit('-', 1)[0]}.so.{version.split('.')[0]}").symlink_to(library)
    environment = {**os.environ, "LD_LIBRARY_PATH": f"{folder}:{bundled}"}
    return subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode


def is_right(decode: Decode, video: str) -> bool:
    """Return whether a decoder returns the same frames as PyAV."""
    try:
        found = [image for images in decode(video, None) for image in images.astype(np.int16)]
    except Exception:
        return False
    (wanted,) = pyav(video, None)
    return len(found) == len(wanted) and all(map(is_same, found, wanted))


def is_same(image: np.ndarray, other: np.ndarray) -> bool:
    return image.shape == other.shape and int(abs(image - other).max()) <= MOST_DIFFERENCE


def measure(
    decoders: dict[str, Decode], videos: list[str], size: int | None, repeats: int, reader: FrameReader
) -> dict[tuple[str, str], list[float]]:
    """CPU seconds of all turns, by decoder and video."""
    seconds: dict[tuple[str, str], list[float]] = {(name, video): [] for name in decoders for video in videos}
    for repeat in range(repeats):
        turns = list(decoders.items())[:: -1 if repeat % 2 else 1]
        for video in videos:
            for name, decode in turns:
                started_s = cpu_s(reader)
                with contextlib.suppress(Exception):
                    collections.deque(decode(video, size), maxlen=0)
                seconds[name, video].append(cpu_s(reader) - started_s)
    return seconds


def show(
    seconds: dict[tuple[str, str], list[float]],
    guard_seconds: dict[tuple[str, str], list[float]],
    videos: list[str],
    size: int | None,
    right: dict[tuple[str, str], bool],
) -> None:
    """Print a table; its last row is over all files, including each direct use only if it is right."""
    names = list(dict.fromkeys(name for name, _ in seconds))
    print(f"\nkept frames per CPU second, {'full size' if size is None else f'resized to {size}'}")
    print(f"{'':16}{'kept':>5}" + "".join(f"{name:>11}" for name in names) + f"{'ratio':>7}  guard")
    median_s = {turn: statistics.median(times) for turn, times in seconds.items()}
    fastest_s = {
        video: min(median_s[name, video] for name in names if name not in (OURS, UNGUARDED) and right[name, video])
        for video in videos
    }
    for video in videos:
        kept = sum(map(len, pyav(video, None)))
        rates = [f"{kept / median_s[name, video]:.0f}{'' if right[name, video] else '*'}" for name in names]
        print(f"{Path(video).name[:15]:16}{kept:5}" + "".join(f"{rate:>11}" for rate in rates), end="")
        print(f"{fastest_s[video] / median_s[OURS, video]:7.2f}  {guard_adds(guard_seconds, [video])}")
    ratio = sum(fastest_s.values()) / sum(median_s[OURS, video] for video in videos)
    print(f"{'all':{21 + 11 * len(names)}}{ratio:7.2f}  {guard_adds(guard_seconds, videos)}")


def guard_adds(seconds: dict[tuple[str, str], list[float]], videos: list[str]) -> str:
    """Relative CPU time that the guard adds: median over pairs of turns, and its 95 % interval by order statistics."""
    ours_s, unguarded_s = (np.sum([seconds[name, video] for video in videos], axis=0) for name in (OURS, UNGUARDED))
    added = ours_s / unguarded_s - 1
    reach = min(0.5, 0.98 / math.sqrt(len(added)))
    low, median, high = np.quantile(added, (0.5 - reach, 0.5, 0.5 + reach))
    return f"{median:.1%} ({low:.1%} to {high:.1%})"


def cpu_s(reader: FrameReader) -> float:
    """CPU time of this process and of the reader's child, in seconds."""
    child = reader.child_pid
    return time.process_time() + (time.clock_gettime((~child << 3) | CPUCLOCK_SCHED) if child else 0.0)


def unguarded(path: str, size: int | None) -> Iterator[np.ndarray]:
    chunks = gather(read_frames(path, Stride(STRIDE)), size, lambda shape: np.empty(shape, np.uint8))
    return (chunk.images for chunk in Reading(chunks))


def one_array(images: Iterable[np.ndarray], size: int | None) -> np.ndarray:
    return np.stack([image if size is None else resize_and_crop(image, size) for image in images])


def pyav(path: str, size: int | None) -> Iterator[np.ndarray]:
    to_rgb = VideoReformatter()
    with av.open(path, metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        frames = (frame for i, frame in enumerate(container.decode(stream)) if i % STRIDE == 0)
        yield one_array((to_rgb.reformat(frame, format="rgb24", threads=1).to_ndarray() for frame in frames), size)


def decord_batch(path: str, size: int | None) -> Iterator[np.ndarray]:
    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.VideoReader(path, num_threads=1)
    images = reader.get_batch(range(0, len(reader), STRIDE)).asnumpy()
    yield images if size is None else one_array(images, size)


def torchcodec() -> dict[str, Decode]:
    """Decoder with torchcodec, if the library can be loaded."""
    try:
        import torch
        from torchcodec.decoders import VideoDecoder  # pyright: ignore[reportPrivateImportUsage]  its only public name
    except (ImportError, RuntimeError, OSError) as error:
        print(f"torchcodec is skipped: {str(error).splitlines()[0]}")
        return {}
    torch.set_num_threads(1)

    def decode(path: str, size: int | None) -> Iterator[np.ndarray]:
        decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="approximate")
        images = decoder.get_frames_in_range(0, len(decoder), STRIDE).data.numpy()
        yield images if size is None else one_array(images, size)

    return {"torchcodec": decode}


def make_clips(folder: Path) -> list[str]:
    """Generate clips of 150 frames, 320x240, of a moving texture: UCF101's format, with B-frames, and H.264."""
    texture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    large = av.VideoFrame.from_ndarray(texture).reformat(640, 480).to_ndarray()
    for name, (codec, most_b_frames) in CLIPS.items():
        with av.open(str(folder / name), "w") as container:
            stream = cast("VideoStream", container.add_stream(codec, rate=Fraction(25)))
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            stream.codec_context.max_b_frames = most_b_frames
            for t in range(150):
                image = np.ascontiguousarray(large[t : t + 240, 2 * t : 2 * t + 320], np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
            container.mux(stream.encode())
    return [str(folder / name) for name in CLIPS]


if __name__ == "__main__":
    main()
