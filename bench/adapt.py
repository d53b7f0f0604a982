#!/usr/bin/env python
"""Benchmark of adaptation: time relative to a forward pass, and peak memory for few and many videos.

The first table compares adaptation with a forward pass over the same frames, both including normalisation. Passes run
in pairs, in alternating order; the ratio is the median, with minimum and maximum in brackets (target: at most 1.3). The
second table gives the peak memory of sampling frames from generated clips, for N and 8 N videos and an equal total
number of frames. It counts allocations of Python and numpy, without the decoder process.
"""

import dataclasses
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import cast

import av
import numpy as np
import torch
import tyro
from av.video.stream import VideoStream

from attn.engine.frame_samples import FrameBank, choose_videos, fill_bank
from attn.models.adapt import adapt
from attn.models.backbone import Backbone, build_backbone
from attn.models.finetune import Normaliser
from attn.stages.decode_videos import DecodeVideos
from attn.stages.frame_sample import sample_videos
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video

CLIP_FRAMES, CLIP_SIZE = 150, (240, 320)


@dataclasses.dataclass(frozen=True)
class Options:
    backbones: tuple[str, ...] = ("small_cnn", "mobilenet_v2_w035", "resnet50")
    """CNNs to adapt."""
    frames: int = 256
    """Number of frames of a pass."""
    size: int = 224
    """Side of the frames, in pixels; half of it for small_cnn."""
    batch_size: int = 64
    """Batch size."""
    pairs: int = 5
    """Number of pairs of passes, after one warm-up pair."""
    device: str = "cpu"
    """Device of the CNN."""
    videos: int = 32
    """Number of videos to sample; the second measurement uses eight times as many."""
    sampled: int = 512
    """Total number of frames to sample."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    device = torch.device(options.device)
    print(f"torch {torch.__version__}, {device.type}, {torch.get_num_threads()} threads, {options.frames} frames")
    print("\nCNN | plain pass, s | adaptation, s | adaptation / plain")
    for name in options.backbones:
        compare(name, options, device)
    print("\nvideos | frames kept | size of frames, MB | peak memory, MB")
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip.avi")
        for videos in (options.videos, 8 * options.videos):
            sample(clip, videos, options)


def compare(name: str, options: Options, device: torch.device) -> None:
    size = options.size // 2 if name == "small_cnn" else options.size
    pixels = np.random.default_rng(0).integers(0, 256, (options.frames, size, size, 3), np.uint8)
    backbone = build_backbone(name, 101).to(device).eval()
    rows, normalise = np.arange(options.frames), Normaliser((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), device)
    passes: dict[str, Callable[[], object]] = {
        "plain": lambda: plain(backbone, pixels, normalise, options.batch_size),
        "ours": lambda: adapt(backbone, pixels, rows, normalise, batch_size=options.batch_size),
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in passes}
    for turn in range(options.pairs + 1):
        for kind in sorted(passes, reverse=bool(turn % 2)):
            seconds[kind].append(timed(passes[kind], device))
    ratios = [ours / alone for ours, alone in zip(seconds["ours"][1:], seconds["plain"][1:], strict=True)]
    alone, ours = (statistics.median(seconds[kind][1:]) for kind in ("plain", "ours"))
    spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
    print(f"{name} | {alone:.2f} | {ours:.2f} | {spread}", flush=True)


@torch.no_grad()
def plain(backbone: Backbone, pixels: np.ndarray, normalise: Normaliser, batch_size: int) -> None:
    device = backbone.classifier.weight.device
    for start in range(0, len(pixels), batch_size):
        backbone(normalise(torch.from_numpy(pixels[start : start + batch_size]).to(device)))


def timed(step: Callable[[], object], device: torch.device) -> float:
    started_s = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started_s


def sample(clip: Path, count: int, options: Options) -> None:
    """Measure the peak memory of sampling as in the job, but in one process."""
    videos = [Video(f"v{i:05}", str(clip), None, None, None) for i in range(count)]
    stage = DecodeVideos(Stride(5), options.size, 32)
    tracemalloc.start()
    chosen = choose_videos(videos, options.sampled, seed=0)
    per_video = -(-options.sampled // len(chosen))
    bank = FrameBank(len(chosen) * per_video, options.size)
    with FrameReader() as reader:
        fill_bank(bank, chosen, stage, lambda left, s, _: sample_videos(left, reader, stage=s, per_video=per_video))
    rows = bank.order(0, options.sampled)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{count} | {len(rows)} | {bank.pixels.nbytes / 1e6:.0f} | {peak / 1e6:.0f}", flush=True)


def write_clip(path: Path) -> Path:
    image = np.random.default_rng(0).integers(0, 256, (*CLIP_SIZE, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = cast("VideoStream", container.add_stream("mpeg4", rate=25))
        stream.height, stream.width = CLIP_SIZE
        stream.pix_fmt = "yuv420p"
        for t in range(CLIP_FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(image, 3 * t, 1), "rgb24")))
        container.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
