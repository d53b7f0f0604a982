#!/usr/bin/env python3
"""Benchmark of optical flow: pairs of frames per CPU second, for each algorithm of `precompute_flow`.

`opencv tvl1` is OpenCV's own TV-L1, one pair at a time, on the same grey pairs as ours. RAFT has random weights: its
time does not depend on them. Each repeat runs the algorithms one after the other; ratios are those of neighbours. TV-L1
takes as many steps as the motion needs, so its figures depend on the videos.

It runs without Ray: `OMP_NUM_THREADS=1 python bench/flow.py --videos clip.avi`. With `--device cuda`, TV-L1 and RAFT
run on the GPU, in one batch, and all figures are per second of the clock.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from attn.models.raft import LEAST_SIZE, RAFT, Raft
from attn.models.torchvision_models import load_torchvision
from attn.schema import IMAGE
from attn.stages.decode_pairs import DecodePairs
from attn.stages.flow.compute import Estimator
from attn.stages.flow.dis import Dis
from attn.stages.flow.tvl1 import TvL1
from attn.storage.failures import Failure
from attn.synthetic.render import render_videos
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.source import list_videos


def main() -> None:
    flags = parse()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    where = "one core" if flags.device == "cpu" else flags.device
    print(f"torch {torch.__version__}, OpenCV {cv2.__version__}, {where}; {flags.pairs} pairs, {flags.repeats} repeats")
    with tempfile.TemporaryDirectory() as folder:
        videos = flags.videos or [str(render_videos(Path(folder), 2, seed=0))]
        for size in flags.sizes:
            pairs = np.concatenate(list(read_pairs(videos, size, flags.pairs)))
            clock = time.process_time if flags.device == "cpu" else time.perf_counter
            show(size, measured(algorithms(size, flags.device), pairs, flags.repeats, clock))


def algorithms(size: int, device: str) -> dict[str, Estimator]:
    """Algorithms that work on frames of a size."""
    rafts: dict[str, Estimator] = {
        name: Raft(load_torchvision().get_model(name, weights=None).eval(), device=device)
        for name in RAFT
        if size >= LEAST_SIZE
    }
    oracle: dict[str, Estimator] = {"opencv tvl1": opencv_tvl1} if hasattr(cv2, "optflow") else {}
    return {"dis": Dis(), "tvl1": TvL1(device=device), **oracle, **rafts}


def opencv_tvl1(pairs: np.ndarray) -> np.ndarray:
    algorithm = cv2.optflow.DualTVL1OpticalFlow.create()
    grey = [[cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in pair] for pair in pairs]
    empty = np.empty((*pairs.shape[2:4], 2), np.float32)
    return np.stack([algorithm.calc(first, second, empty) for first, second in grey]).transpose(0, 3, 1, 2)


def measured(
    ways: dict[str, Estimator], pairs: np.ndarray, repeats: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Pairs per second of each algorithm, in each repeat; a first call of each is not counted."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(pairs[:1])
    for _ in range(repeats):
        for name, way in ways.items():
            started_s = clock()
            way(pairs)
            rates[name].append(len(pairs) / (clock() - started_s))
    return rates


def show(size: int, rates: dict[str, list[float]]) -> None:
    print(f"\n{size} pixels | pairs/s | dis / this")
    for name, own in rates.items():
        ratios = [first / other for first, other in zip(rates["dis"], own, strict=True)]
        print(f"{name} | {statistics.median(own):.3g} | {statistics.median(ratios):.3g}", flush=True)


def read_pairs(videos: Sequence[str], size: int, count: int) -> Iterator[np.ndarray]:
    """First pairs of consecutive frames of the videos, the same number of each, `count` in all."""
    found = [video for path in videos for video in list_videos(path)]
    with FrameReader() as reader:
        for video in found[:count]:
            batch = next(DecodePairs(Stride(1), size, count)([video], reader))
            if isinstance(batch, Failure):
                raise SystemExit(batch.message)
            yield batch[IMAGE][: -(-count // min(len(found), count))]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", nargs="+", help="video files or folders (default: two rendered ones)")
    parser.add_argument("--sizes", nargs="+", type=int, default=[128, 224], help="sides of the frames, in pixels")
    parser.add_argument("--pairs", type=int, default=8, help="number of pairs")
    parser.add_argument("--repeats", type=int, default=3, help="number of repeats")
    parser.add_argument("--device", default="cpu", help="device of TV-L1 and RAFT")
    return parser.parse_args()


if __name__ == "__main__":
    main()
