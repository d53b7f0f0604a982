#!/usr/bin/env python3
"""Benchmark of EnergyNet training on maps in memory that are sampled on the device.

It prints updates per second, relative to a plain PyTorch loop whose DataLoader draws quadruples from maps in memory
(with equal network, mining, losses and optimiser); the cost of each part of the steady recipe; seconds to read a store
into memory, relative to pyarrow; and frames scored per second. With `--updates N`, it also times N updates on maps of
UCF101's size, held on the device.

It runs without Ray: `python bench/energynet.py`. A GPU machine needs only torch, pyarrow and fsspec:
`PYTHONPATH=. python3 bench/energynet.py --device cuda --no-store --updates 20000`.
"""

import argparse
import dataclasses
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset

from attn.losses.energy_ranking import energy_ranking_loss
from attn.losses.triplet import triplet_loss
from attn.mining.sampler import QuadrupleSampler
from attn.models.energynet import EnergyNet
from attn.stages.scoring import frame_energies
from attn.training.bank import Bank
from attn.training.energy_config import EnergyConfig
from attn.training.energy_training import EnergyTrainer, TrainingMaps, samples_per_update
from attn.training.peers import Alone
from attn.training.recipe import paper_recipe
from attn.training.video_table import VideoTable

NUM_CLASSES, SIDE = 101, 7
WORDS = 200


def main() -> None:
    flags = parse()
    device = torch.device(flags.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(f"torch {torch.__version__}, {name}, {torch.get_num_threads()} threads; medians of {flags.repeats} repeats")
    bank = random_bank(flags.videos, flags.frames, device)
    print("\ncandidates | ours, updates/s | DataLoader, updates/s | DataLoader workers | ours / DataLoader")
    for candidates in (EnergyConfig().candidates_initial, EnergyConfig().candidates_final):
        compare_updates(bank, candidates, flags)
    compare_recipes(bank, flags)
    score(bank, flags)
    if not flags.no_store:
        read(flags)
    if flags.updates:
        long_run(flags, device)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--videos", type=int, default=1000, help="number of videos in memory")
    parser.add_argument("--frames", type=int, default=10, help="number of frames per video")
    parser.add_argument("--repeats", type=int, default=5, help="number of interleaved repeats")
    parser.add_argument("--store-frames", type=int, default=100_000, help="number of frames in the store to read")
    parser.add_argument("--no-store", action="store_true", help="skip reading a store")
    parser.add_argument("--updates", type=int, default=0, help="number of updates on maps of UCF101's size; 0: skip")
    return parser.parse_args()


def random_bank(videos: int, frames: int, device: torch.device) -> Bank:
    """Random maps of videos of all classes: rectified noise, half of it zero."""
    labels = np.sort(np.arange(videos) % NUM_CLASSES)
    table = VideoTable(tuple(f"v{i:05}" for i in range(videos)), labels, np.full(videos, frames))
    maps = torch.empty(table.rows, NUM_CLASSES, SIDE, SIDE, dtype=torch.float16, device=device)
    for chunk in maps.split(1024):
        chunk.normal_().relu_()
    return Bank(maps, table)


def new_net(device: torch.device, *, residual: bool = False) -> EnergyNet:
    torch.manual_seed(0)
    concepts = torch.nn.functional.normalize(torch.randn(NUM_CLASSES, WORDS), dim=1)
    return EnergyNet(concepts, (SIDE, SIDE), residual=residual).to(device)


def new_trainer(bank: Bank, config: EnergyConfig) -> EnergyTrainer:
    device = bank.values.device
    sampler = QuadrupleSampler(
        torch.from_numpy(bank.table.labels).to(device),
        torch.from_numpy(bank.table.num_frames).to(device),
        num_classes=NUM_CLASSES,
        samples=samples_per_update(config),
        seed=0,
    )
    net = new_net(device, residual=config.residual)
    return EnergyTrainer(net, TrainingMaps(bank, device), sampler, config, Alone())


def compare_updates(bank: Bank, candidates: int, flags: argparse.Namespace) -> None:
    """Compare our trainer with the plain loop at its best number of DataLoader workers."""
    config = dataclasses.replace(EnergyConfig(), candidates_initial=candidates, candidates_final=candidates)
    trainer = new_trainer(bank, config)
    plain = {workers: PlainLoop(bank, config, workers) for workers in (0, 2)}
    rates: dict[str | int, list[float]] = {"ours": []} | {workers: [] for workers in plain}
    numbers = iter(range(10**9))
    for _ in range(flags.repeats + 1):
        rates["ours"].append(rate(lambda: trainer.update(next(numbers)), 200))
        for workers, loop in plain.items():
            rates[workers].append(rate(loop.update, 20))
    median = {key: statistics.median(found[1:]) for key, found in rates.items()}  # the first repeat is a warm-up
    best = max(plain, key=lambda workers: median[workers])
    ours, loader = median["ours"], median[best]
    print(f"{candidates} | {ours:.0f} | {loader:.1f} | {best} | {ours / loader:.1f}")


def compare_recipes(bank: Bank, flags: argparse.Namespace) -> None:
    """Compare the paper's recipe, the same with one part of the steady recipe each, and the steady recipe.

    Ratios are computed within each round, because the load of a shared machine varies between rounds.
    """
    paper = dataclasses.replace(paper_recipe(EnergyConfig()), recipe="steady")
    parts = {"mirror": {"mirror": True}, "residual": {"residual": True}, "semi-hard": {"semi_hard": True}}
    configs = {"paper": paper} | {name: dataclasses.replace(paper, **part) for name, part in parts.items()}
    trainers = {name: new_trainer(bank, config) for name, config in (configs | {"steady": EnergyConfig()}).items()}
    rates: dict[str, list[float]] = {name: [] for name in trainers}
    numbers = {name: iter(range(10**9)) for name in trainers}
    for _ in range(4 * flags.repeats + 1):
        for name, trainer in trainers.items():
            rates[name].append(rate(lambda name=name, trainer=trainer: trainer.update(next(numbers[name])), 50))
    print("\nrecipe | updates/s | relative to paper")
    for name, found in rates.items():
        ratio = statistics.median(ours / base for ours, base in zip(found[1:], rates["paper"][1:], strict=True))
        print(f"{name} | {statistics.median(found[1:]):.0f} | {ratio:.3f}")


def rate(step: Callable[[], object], count: int) -> float:
    started_s = time.perf_counter()
    for _ in range(count):
        step()
    return count / (time.perf_counter() - started_s)


class PlainQuadruples(Dataset):
    """Dataset of random quadruples, from maps by class, video and frame."""

    def __init__(self, bank: Bank):
        self.by_class: dict[int, list[Tensor]] = {}
        maps = bank.values.flatten(2).cpu()
        for label, first, count in zip(bank.table.labels, bank.table.first_row, bank.table.num_frames, strict=True):
            self.by_class.setdefault(int(label), []).append(maps[first : first + count])
        self.classes = list(self.by_class)

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, _: int) -> tuple[Tensor, Tensor]:
        true = random.choice(self.classes)
        false = random.choice([c for c in range(NUM_CLASSES) if c != true])
        far = random.choice([c for c in self.classes if c != true])
        video, other = random.sample(self.by_class[true], 2)
        frame, positive = random.choice(video), random.choice(other)
        negative = random.choice(random.choice(self.by_class[far]))
        maps = torch.stack([frame[false], frame[true], positive[true], negative[far]])
        return maps, torch.tensor([false, true, true, far])


class PlainLoop:
    """Straightforward implementation of the same training."""

    def __init__(self, bank: Bank, config: EnergyConfig, workers: int):
        self.config, self.device = config, bank.values.device
        self.net = new_net(self.device)
        self.optimizer = SGD(self.net.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay)
        size = config.candidates_initial + config.num_random
        self.batches = self._endless(DataLoader(PlainQuadruples(bank), size, num_workers=workers))

    @staticmethod
    def _endless(loader: DataLoader) -> Iterator[list[Tensor]]:
        while True:
            yield from loader

    def update(self) -> float:
        maps, classes = (part.transpose(0, 1).to(self.device) for part in next(self.batches))
        with torch.no_grad():
            losses = self.losses(maps, classes)[: self.config.candidates_initial]
        hard = losses.topk(self.config.num_hard).indices
        extra = torch.arange(self.config.candidates_initial, maps.shape[1], device=self.device)
        chosen = torch.cat([hard, extra])
        loss = self.losses(maps[:, chosen], classes[:, chosen]).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def losses(self, maps: Tensor, classes: Tensor) -> Tensor:
        embedding, energy = self.net(maps.float(), classes)
        ranking = energy_ranking_loss(energy[0], energy[1], margin=self.config.energy_margin)
        triplet = triplet_loss(embedding[1], embedding[2], embedding[3], margin=self.config.triplet_margin)
        return ranking + self.config.triplet_weight * triplet


def score(bank: Bank, flags: argparse.Namespace) -> None:
    """Print the number of frames per second for the energies of all classes."""
    net, maps = new_net(bank.values.device), bank.values
    rates = [len(maps) * rate(lambda: frame_energies(net, maps).sum().item(), 1) for _ in range(flags.repeats + 1)]
    print(f"\nscoring: {statistics.median(rates[1:]):.0f} frames/s of {NUM_CLASSES} classes each")


def read(flags: argparse.Namespace) -> None:
    """Compare `read_bank` with pyarrow for reading a store into memory."""
    import pyarrow.parquet as pq

    from attn.schema import MAPS
    from attn.storage.store import AttentionStore
    from attn.training.bank import read_bank

    with tempfile.TemporaryDirectory() as folder:
        table = write_store(folder, flags.store_frames)
        store = AttentionStore.open(folder)
        parts = sorted(str(path) for path in Path(folder).glob("part-*.parquet"))
        columns, threads = [MAPS], torch.get_num_threads()
        ours, pyarrow = [], []
        for _ in range(flags.repeats):
            ours.append(1 / rate(lambda: read_bank([store], table, MAPS, threads=threads), 1))
            pyarrow.append(1 / rate(lambda: [pq.read_table(part, columns=columns) for part in parts], 1))
        bank_s, arrow_s = statistics.median(ours), statistics.median(pyarrow)
        size_gb = sum(Path(part).stat().st_size for part in parts) / 1e9
        print(
            f"\nreading {table.rows} frames x {NUM_CLASSES} classes, {size_gb:.2f} GB in {len(parts)} parts: "
            f"{bank_s:.2f} s, pyarrow {arrow_s:.2f} s, ours / pyarrow {bank_s / arrow_s:.2f}"
        )


def write_store(folder: str, frames: int) -> VideoTable:
    """Write a store of videos with 50 frames each."""
    import pyarrow as pa

    from attn.schema import TRUNCATED
    from attn.storage.ledger import Ledger
    from attn.storage.manifest import Manifest
    from attn.storage.tensors import tensor_array
    from attn.storage.writer import LAST, POSITION, StoreWriter, travelling_schema

    manifest = Manifest(
        class_names=tuple(f"c{i:03}" for i in range(NUM_CLASSES)),
        backbone="none",
        weights_sha256="",
        map_layer="none",
        alpha_reduce="mean",
        input_size=224,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        preprocessing="none",
        sampling={"stride": 5},
        precision="fp32",
        columns=("maps",),
        num_channels=1,
        map_shape=(SIDE, SIDE),
    )
    ledger, count = Ledger.at(folder), 50
    ledger.begin(manifest)
    writer, schema = StoreWriter(folder, manifest.schema, part_bytes=128 * 2**20), travelling_schema(manifest.schema)
    rng, videos = np.random.default_rng(0), frames // count
    for video in range(videos):
        maps = np.maximum(rng.standard_normal((count, NUM_CLASSES, SIDE, SIDE), np.float32), 0).astype(np.float16)
        columns = {
            "video_id": np.full(count, f"v{video:05}", object),
            "frame": np.arange(count, dtype=np.int32),
            "time_s": np.arange(count, dtype=np.float32),
            "label": np.full(count, video % NUM_CLASSES, np.int16),
            POSITION: np.arange(count, dtype=np.int32),
            LAST: np.arange(count) == count - 1,
            TRUNCATED: np.zeros(count, bool),
        }
        arrays = [
            tensor_array(maps, field) if field.name == "maps" else pa.array(columns[field.name], type=field.type)
            for field in schema
        ]
        writer.add(pa.RecordBatch.from_arrays(arrays, schema=schema))
    writer.flush()
    ledger.finish({})
    labels = {f"v{video:05}": video % NUM_CLASSES for video in range(videos)}
    return VideoTable.of(labels, dict.fromkeys(labels, count))


def long_run(flags: argparse.Namespace, device: torch.device) -> None:
    """Time a whole training run on as many maps as in UCF101's first training list: 9537 videos of 37 frames."""
    trainer = new_trainer(random_bank(9537, 37, device), EnergyConfig())
    numbers = iter(range(10**9))
    seconds = flags.updates / rate(lambda: trainer.update(next(numbers)), flags.updates)
    print(f"\n{flags.updates} updates on 9537 videos x 37 frames x {NUM_CLASSES} classes: {seconds:.1f} s")


if __name__ == "__main__":
    main()
