#!/usr/bin/env python3
"""Benchmark of networks of clips: training and computing the rows of a clip store, over plain PyTorch loops.

It prints clips per second of `ClipTrainer` and of `ComputeClips`, and their ratios to loops that do the same work with
the same network on frames in one array: random windows and flips, one forward and backward pass, one step of SGD; and
a forward pass in evaluation mode. Repeats are interleaved, and ratios are medians over them.

It runs without Ray: `python bench/clips.py`.
"""

import argparse
import copy
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from attn.models.attention_distillation import ClipArchitecture, ClipCnn
from attn.models.clip_backbone import CLIP_BACKBONES
from attn.models.clip_file import TrainedClipCnn
from attn.models.clip_input import ClipInput
from attn.stages.clip_columns import ComputeClips
from attn.stages.clip_config import ClipConfig
from attn.stages.clips import ClipSampling
from attn.training.clip_data import ClipData
from attn.training.clip_training import ClipTrainer
from attn.training.peers import Alone
from attn.training.video_table import VideoTable

NUM_CLASSES, FRAMES = 10, 40


def main() -> None:
    flags = parse()
    device = torch.device(flags.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(f"torch {torch.__version__}, {name}, {torch.get_num_threads()} threads; medians of {flags.repeats} repeats")
    print("work | clips/s | over a plain loop")
    for work, make in (("training", trainings), ("rows of a store", rows_of_store)):
        ours, plain = make(flags, device)
        rates = [(rate(ours, flags, device), rate(plain, flags, device)) for _ in range(flags.repeats)]
        ratio = statistics.median(first / second for first, second in rates)
        print(f"{work} | {statistics.median(first for first, _ in rates):.1f} | {ratio:.2f}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbone", default="small_clip_cnn", choices=CLIP_BACKBONES)
    parser.add_argument("--videos", type=int, default=32, help=f"number of videos of {FRAMES} frames")
    parser.add_argument("--batch", type=int, default=8, help="number of clips in an update")
    parser.add_argument("--updates", type=int, default=4, help="number of updates in a repeat")
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def rate(work: Callable[[int], object], flags: argparse.Namespace, device: torch.device) -> float:
    """Clips per second of some updates; the function takes the number of an update."""
    started_s = time.perf_counter()
    for number in range(flags.updates):
        work(number)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return flags.updates * flags.batch / (time.perf_counter() - started_s)


def trainings(
    flags: argparse.Namespace, device: torch.device
) -> tuple[Callable[[int], object], Callable[[int], object]]:
    """Updates of the trainer, and of a plain loop."""
    frames, taken, net = made(flags)
    names = [f"v{number:04}" for number in range(flags.videos)]
    labels = {name: number % NUM_CLASSES for number, name in enumerate(names)}
    table = VideoTable.of(labels, dict.fromkeys(names, FRAMES))
    first_row = np.array([FRAMES * int(name[1:]) for name in table.video_ids])
    config = ClipConfig(backbone=flags.backbone, batch=flags.batch, lr=1e-4, epochs=1000)
    data = ClipData(frames, None, first_row, table, ClipSampling(taken.length, taken.step))
    trainer = ClipTrainer(copy.deepcopy(net).to(device), data, taken, config, Alone())
    net = net.to(device).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9, nesterov=True, weight_decay=1e-4)
    random = np.random.default_rng(0)

    def plain(number: int) -> None:
        videos = random.integers(0, flags.videos, flags.batch)
        clips = []
        for video in videos:
            start = FRAMES * video + random.integers(0, FRAMES - (taken.length - 1) * taken.step)
            top, left = random.integers(0, taken.size - taken.crop + 1, 2)
            rows = start + taken.step * np.arange(taken.length)
            window = frames[rows, top : top + taken.crop, left : left + taken.crop]
            clips.append(window[:, :, ::-1] if random.random() < 0.5 else window)
        batch = torch.from_numpy(np.stack(clips).transpose(0, 4, 1, 2, 3).copy())
        output = net(taken.normalised(batch.to(device)))
        F.cross_entropy(output.logits, torch.from_numpy(videos % NUM_CLASSES).to(device)).backward()
        optimizer.step()
        optimizer.zero_grad()

    return trainer.update, plain


def rows_of_store(
    flags: argparse.Namespace, device: torch.device
) -> tuple[Callable[[int], object], Callable[[int], object]]:
    """Rows of a clip store, and a forward pass of the same clips."""
    frames, taken, net = made(flags)
    trained = TrainedClipCnn(copy.deepcopy(net).eval(), tuple(map(str, range(NUM_CLASSES))), taken)
    compute = ComputeClips(trained, columns=("logits", "attention"), crops=1, device=flags.device)
    net, edge = net.to(device).eval(), (taken.size - taken.crop) // 2
    rows = np.arange(flags.batch)[:, None] * FRAMES + taken.step * np.arange(taken.length)
    images, inner = frames[rows], slice(edge, edge + taken.crop)

    @torch.inference_mode()
    def plain(number: int) -> tuple[np.ndarray, np.ndarray]:
        batch = torch.from_numpy(images[:, :, inner, inner].transpose(0, 4, 1, 2, 3).copy())
        output = net(taken.normalised(batch.to(device)))
        return output.logits.cpu().numpy(), torch.softmax(output.attention.flatten(3), -1).cpu().numpy()

    return lambda number: compute(images), plain


def made(flags: argparse.Namespace) -> tuple[np.ndarray, ClipInput, ClipCnn]:
    """Frames of all videos, the input of the network, and a network with random weights."""
    crop = CLIP_BACKBONES[flags.backbone].side
    taken = ClipInput(16, 2, crop + 8, crop, "none", {"stride": 1})
    frames = np.random.default_rng(0).integers(0, 256, (flags.videos * FRAMES, crop + 8, crop + 8, 3), np.uint8)
    torch.manual_seed(0)
    return frames, taken, ClipCnn(ClipArchitecture(flags.backbone, "rgb", NUM_CLASSES))


if __name__ == "__main__":
    main()
