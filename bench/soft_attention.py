#!/usr/bin/env python3
"""Benchmark of the training of a soft-attention LSTM on grids that are memory-mapped.

It prints windows per second of feeding and of training, relative to a plain PyTorch loop that reads the same windows
from a file in the layout of features.h5, one row per frame; training relative to the same network without attention;
and the peak of the memory that this process does not share with the file, on grids of one and four times the size.

It runs without Ray: `python bench/soft_attention.py` (needs `uv pip install -e '.[h5]'`).
"""

import argparse
import dataclasses
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from attn.models.soft_attention import SoftAttention
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.stages.windows import Windows, shuffled
from attn.training.peers import Alone
from attn.training.soft_attention_training import (
    LabelledWindows,
    SoftAttentionTrainer,
    new_net,
    new_optimizer,
    window_losses,
)

FRAMES, SIDE, NUM_CLASSES = 60, 7, 51


def main() -> None:
    flags = parse()
    if flags.child:
        print(peak_mb(flags, Path(flags.child)))
        return
    device = torch.device(flags.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(f"torch {torch.__version__}, {name}, {torch.get_num_threads()} threads; medians of {flags.repeats} repeats")
    config = SoftAttentionConfig(hidden_dim=flags.hidden_dim, batch=flags.batch)
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(folder), flags.videos, flags)
        compare_feeding(files, config, flags)
        compare_training(files, config, flags, device)
        print(f"\nvideos | grids, MB | peak of private memory, MB (batch of {flags.batch} windows)")
        for videos in (flags.videos, 4 * flags.videos):
            files = write(Path(folder), videos, flags)
            print(f"{videos} | {files[0].stat().st_size / 1e6:.0f} | {in_child(files[0], videos, flags):.0f}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--videos", type=int, default=40, help=f"number of videos of {FRAMES} frames")
    parser.add_argument("--channels", type=int, default=1024, help="number of channels; 1024 are GoogLeNet's")
    parser.add_argument("--hidden-dim", type=int, default=512, help="width of the LSTM")
    parser.add_argument("--batch", type=int, default=128, help="number of windows in an update")
    parser.add_argument("--updates", type=int, default=2, help="number of updates in a repeat")
    parser.add_argument("--repeats", type=int, default=3, help="number of interleaved repeats")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if len(windows_of(flags.videos)) <= flags.batch:
        parser.error(f"--videos {flags.videos}: fewer windows than --batch {flags.batch}. Give more.")
    return flags


def write(folder: Path, videos: int, flags: argparse.Namespace) -> tuple[Path, Path]:
    """Random grids as a plain array in half precision, and as features.h5 in single precision."""
    plain, h5 = folder / f"grids-{videos}.bin", folder / f"features-{videos}.h5"
    rows, width = videos * FRAMES, flags.channels * SIDE * SIDE
    random = np.random.default_rng(0)
    with plain.open("wb") as file, h5py.File(h5, "w") as features:
        table = features.create_dataset("features", (rows, width), np.float32)
        for start in range(0, rows, FRAMES):
            values = np.maximum(random.standard_normal((FRAMES, width), np.float32), 0)
            values.astype(np.float16).tofile(file)
            table[start : start + FRAMES] = values
    return plain, h5


def mapped(plain: Path, videos: int, flags: argparse.Namespace) -> LabelledWindows:
    values = np.memmap(plain, np.float16, "c", shape=(videos * FRAMES, flags.channels, SIDE * SIDE))
    labels = torch.arange(videos) % NUM_CLASSES
    return LabelledWindows(torch.from_numpy(np.asarray(values)).mT, windows_of(videos), labels)


def windows_of(videos: int) -> Windows:
    config = SoftAttentionConfig()
    return Windows.of(np.full(videos, FRAMES), frames=config.window_frames, stride=1, skip=1)


def net_of(config: SoftAttentionConfig, flags: argparse.Namespace) -> SoftAttention:
    net = new_net(config, num_classes=NUM_CLASSES, num_channels=flags.channels, num_cells=SIDE * SIDE)
    return net.to(flags.device)


class PlainLoop:
    """Training that reads each frame of each window by its row in the h5 file.

    Args:
        h5: file of the features.
        config: settings of the training.
        flags: sizes.
    """

    def __init__(self, h5: Path, config: SoftAttentionConfig, flags: argparse.Namespace):
        self.config, self.net = config, net_of(config, flags)
        self.optimizer = new_optimizer(self.net, config)
        self._table: Any = h5py.File(h5, "r")["features"]
        self._windows = windows_of(flags.videos)
        self._shape = (config.window_frames, flags.channels, SIDE * SIDE)
        self._order = shuffled(len(self._windows), epoch=0, seed=0)

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        first = number * self.config.batch % (len(self._order) - self.config.batch)
        which = self._order[first : first + self.config.batch]
        cubes = [
            np.stack([self._table[row] for row in rows]).reshape(self._shape) for rows in self._windows.rows(which)
        ]
        return torch.from_numpy(np.stack(cubes)).mT, torch.from_numpy(self._windows.video[which] % NUM_CLASSES)

    def update(self, number: int) -> float:
        cubes, labels = (values.to(self.net.output.weight.device) for values in self.batch(number))
        losses = window_losses(self.net.train(), cubes, labels, self.config)
        loss = losses.cross_entropy.mean() / self.config.window_frames
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def compare_feeding(files: tuple[Path, Path], config: SoftAttentionConfig, flags: argparse.Namespace) -> None:
    data, plain = mapped(files[0], flags.videos, flags), PlainLoop(files[1], config, flags)
    order = shuffled(len(data.windows), epoch=0, seed=0)

    def ours(number: int, like: Tensor) -> object:
        first = number * config.batch % (len(order) - config.batch)
        return data.select(order[first : first + config.batch], like)

    in_single, in_half = (partial(ours, like=torch.zeros(1, dtype=kind)) for kind in (torch.float32, torch.float16))
    # Half precision is what travels to a GPU, which converts it there.
    report("feeding", {"ours": in_single, "ours, in half precision": in_half, "h5, row by row": plain.batch}, flags)


def compare_training(
    files: tuple[Path, Path], config: SoftAttentionConfig, flags: argparse.Namespace, device: torch.device
) -> None:
    data, plain = mapped(files[0], flags.videos, flags), PlainLoop(files[1], config, flags)
    pooled = dataclasses.replace(config, pooling="average")
    trainers = [SoftAttentionTrainer(net_of(one, flags), data, one, Alone()) for one in (config, pooled)]
    with_attention, without = (trainer.update for trainer in trainers)
    report(
        "training", {"ours": with_attention, "h5, row by row": plain.update, "ours, average pooling": without}, flags
    )
    for trainer in trainers:
        trainer.close()


def report(title: str, kinds: dict[str, Callable[[int], object]], flags: argparse.Namespace) -> None:
    """Print medians of windows per second and their ratios to the first kind, from interleaved repeats."""
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    for repeat in range(flags.repeats + 1):
        for name, update in kinds.items():
            started_s = time.perf_counter()
            for number in range(repeat * flags.updates, (repeat + 1) * flags.updates):
                update(number)
            rates[name].append(flags.updates * flags.batch / (time.perf_counter() - started_s))
    medians = {name: statistics.median(found[1:]) for name, found in rates.items()}  # the first is a warm-up
    first = next(iter(medians.values()))
    print(f"\n{title} | windows/s | ours / this")
    for name, median in medians.items():
        print(f"{name} | {median:.1f} | {first / median:.2f}")


def in_child(plain: Path, videos: int, flags: argparse.Namespace) -> float:
    """Peak memory of a training in a process of its own."""
    sizes = {"videos": videos, "channels": flags.channels, "hidden-dim": flags.hidden_dim, "batch": flags.batch}
    words = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    found = subprocess.run(
        [sys.executable, __file__, "--child", plain, *words], capture_output=True, check=True, text=True
    )
    return float(found.stdout)


def peak_mb(flags: argparse.Namespace, plain: Path) -> float:
    """Train; return the largest private memory, sampled every 10 ms, in MB."""
    config = SoftAttentionConfig(hidden_dim=flags.hidden_dim, batch=flags.batch)
    trainer = SoftAttentionTrainer(net_of(config, flags), mapped(plain, flags.videos, flags), config, Alone())
    peaks, over = [0.0], threading.Event()

    def sample() -> None:
        while not over.wait(0.01):
            status = Path("/proc/self/status").read_text()
            peaks.append(int(status.partition("RssAnon:")[2].split()[0]) / 1e3)

    sampler = threading.Thread(target=sample)
    sampler.start()
    for number in range(flags.updates + 1):
        trainer.update(number)
    over.set()
    sampler.join()
    trainer.close()
    return max(peaks)


if __name__ == "__main__":
    main()
