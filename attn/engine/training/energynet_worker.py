"""What each worker of an EnergyNet's training does: read maps, then updates, look, checkpoint.

All workers decide alike: they draw the same samples, see the same sums of losses, and are told the same accuracy, so
nobody waits for a worker that has left.
"""

import dataclasses
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import ray.train
import torch

from attn.engine.memory import available_bytes
from attn.engine.training.board import Pen
from attn.engine.training.energynet_plan import EnergyJob
from attn.engine.training.energynet_state import ACCURACY, Progress, load_state, plain, save_state
from attn.engine.training.group import Group
from attn.engine.training.storage import check_storage
from attn.errors import UsageError
from attn.mining.sampler import QuadrupleSampler
from attn.models.energynet import EnergyNet
from attn.stages.early_stop import is_over, is_worse
from attn.stages.energy_training import EnergyTrainer, Step, TrainingMaps, samples_per_update
from attn.stages.energy_validation import Look, look, score_bank
from attn.stages.map_bank import MapBank, bank_bytes, read_bank
from attn.storage.filesystem import storage_errors
from attn.storage.store import AttentionStore

Value = TypeVar("Value")

SHORTFALL = "validation_shortfall"
MEMORY_SHARE = 0.5  # of what the machine has left
DEVICE_SHARE = 0.8
MOST_READERS = 8


def train_energynet_worker(config: dict[str, Any]) -> str | None:
    """The training loop of one worker, for `TorchTrainer`.

    Args:
        config: `job`, an `EnergyJob`; `board`.

    Returns:
        Why the user must change something, or None when the training is done. No exception, since Ray would try again.
    """
    job, group = config["job"], Group.of_this_worker()
    pen = Pen(config["board"], rank=group.rank)
    pen.pin(skipped={}, note="reading maps")
    found, refusal = _read(job, group)
    return refusal if found is None else _Worker(job, *found, group, pen).run()


Maps = tuple[TrainingMaps, MapBank]
"""Those that are learnt from, and this worker's share of the held-out ones."""


def _read(job: EnergyJob, group: Group) -> tuple[Maps | None, str | None]:
    """The maps that this worker holds: all of them, or where they do not fit its share. Or why nobody goes on."""
    opened, refusal = _attempt(job, lambda: _open(job, group))
    fits = opened is not None and bank_bytes(opened[0][0], job.train.rows) <= opened[1]
    said = group.gather((refusal, fits))
    refusal = next((text for text, _ in said if text), None)
    if opened is None or refusal is not None:
        return None, refusal
    shared = group.size > 1 and not all(fits for _, fits in said)
    found, refusal = _attempt(job, lambda: _fetch(job, *opened, group, shared=shared))
    refusal = next((text for text in group.gather(refusal) if text), None)
    return (found, None) if refusal is None else (None, refusal)


def _attempt(job: EnergyJob, step: Callable[[], Value]) -> tuple[Value | None, str | None]:
    """What a step gives, or why the user must change something: the others must learn of it before anybody leaves.

    An error of the storage too, which Ray would meet again and again, and end with a trace.
    """
    try:
        with storage_errors(" + ".join(job.store_urls)):
            return step(), None
    except UsageError as error:
        return None, str(error)


def _open(job: EnergyJob, group: Group) -> tuple[list[AttentionStore], int]:
    """The stores, and how many bytes of this machine's memory this worker may fill with training maps."""
    check_storage(job.run_url)
    stores = [AttentionStore.open(url, allow_partial=job.options.allow_partial) for url in job.store_urls]
    held_out, _ = job.held_out.share(group.rank, group.size)
    given_gb = job.options.map_memory_gb
    room = int(given_gb * 1e9) if given_gb is not None else int(available_bytes() * MEMORY_SHARE / group.local_size)
    return stores, max(room - bank_bytes(stores[0], held_out.rows), 0)


def _fetch(job: EnergyJob, stores: list[AttentionStore], room: int, group: Group, *, shared: bool) -> Maps:
    held_out, _ = job.held_out.share(group.rank, group.size)
    table, first_row = job.train.share(group.rank, group.size) if shared else (job.train, 0)
    threads = min(MOST_READERS, os.cpu_count() or 1)  # for seconds only, and more than the worker computes with
    bank = _on_device(read_bank(stores, table, threads=threads, most_bytes=room), group.device)
    validation = read_bank(stores, held_out, threads=threads, most_bytes=room)
    return TrainingMaps(bank, group.device, first_row, group if shared else None), validation


def _on_device(bank: MapBank, device: torch.device) -> MapBank:
    """Where the network is, if they fit there."""
    if device.type == "cuda" and bank.maps.nbytes <= DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
        return dataclasses.replace(bank, maps=bank.maps.to(device))
    return bank


class _NotFiniteError(Exception):
    """The loss became NaN or infinite; the message says when."""


class _Worker:
    """One worker with its network and the maps it holds."""

    def __init__(self, job: EnergyJob, maps: TrainingMaps, validation: MapBank, group: Group, pen: Pen):
        self.job, self.group, self.pen, self.config = job, group, pen, job.config
        self.validation = validation
        self.scale = _map_scale(job, maps, group)
        self.net = self._net()
        self.kept: dict[str, torch.Tensor] = {}
        self.trainer = EnergyTrainer(self.net, maps, _sampler(job, group.device), self.config, group)

    def _net(self) -> EnergyNet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            net = EnergyNet(
                torch.from_numpy(self.job.concepts.vectors),
                self.job.map_cells,
                hidden_dim=self.config.hidden_dim,
                embedding_dim=self.config.embedding_dim,
                map_scale=self.scale,
                normalise_embedding=self.config.normalise_embedding,
            )
        return net.to(self.group.device)

    def run(self) -> str | None:
        """All updates that are left; why it had to stop early."""
        progress = self._resumed()
        rows = progress.rows
        self.pen.pin(started_s=time.time(), resumed=len(rows), rows=rows, note="")
        try:
            while not self._done(progress):
                progress.rows = rows = [*rows, self._next_row(rows)]
                self._judge(progress)
                self._report(progress)
                self.pen.pin(rows=rows, note="")
        except _NotFiniteError as error:
            return (
                f"{error}; lower --lr, with another --out or after removing {self.job.run_url}, "
                f"which keeps the state before it"
            )
        return None

    def _done(self, progress: Progress) -> bool:
        """Whether all updates are done, or none has helped for long."""
        rows, config = progress.rows, self.config
        if rows and rows[-1]["update"] >= config.updates:
            return True
        return is_over(progress.accuracies, len(self.job.held_out.video_ids), config.patience)

    def _next_row(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Updates up to the next look, and the look."""
        started_s = time.monotonic()
        first = rows[-1]["update"] if rows else 0
        stop = min(first + self.config.look_every, self.config.updates)
        steps = [self._update(number) for number in range(first, stop)]
        trained_s = time.monotonic() - started_s
        if not all(torch.isfinite(weight).all() for weight in self.net.parameters()):
            raise _NotFiniteError(f"the weights are not finite after update {stop}")
        seen, schedule = self._look(), self.trainer.schedule
        means = [sum(values) / len(steps) for values in zip(*steps, strict=True)]
        return {
            "update": stop,
            **dict(zip(Step._fields, means, strict=True)),
            "monitor": schedule.monitor,
            "candidates": schedule.candidates,
            ACCURACY: seen.correct / seen.videos if seen.videos else None,
            SHORTFALL: seen.shortfall / seen.videos if seen.videos else None,
            "updates_per_s": len(steps) / trained_s,
            "seconds": time.monotonic() - started_s,
        }

    def _update(self, number: int) -> Step:
        step = self.trainer.update(number)
        if not math.isfinite(step.loss):
            raise _NotFiniteError(f"the loss is not finite at update {number + 1}")
        self.pen.note(f"update {number + 1} of {self.config.updates}: loss {step.loss:.3f}")
        return step

    def _look(self) -> Look:
        """The held-out videos, shared by the workers."""
        scores = score_bank(self.net, self.validation, self.group.device)
        labels = torch.from_numpy(self.validation.table.labels).to(self.group.device)
        mine = look(scores, labels, margin=self.config.energy_margin)
        return Look(*self.group.sum(torch.tensor(mine, dtype=torch.float64)).tolist())

    def _judge(self, progress: Progress) -> None:
        """Keeps the weights of the newest look unless it is worse than one before."""
        videos = len(self.job.held_out.video_ids)
        if videos and not is_worse(progress.accuracies, videos):
            progress.kept = len(progress.rows)
            self.kept = plain(self.net.state_dict())

    def _report(self, progress: Progress) -> None:
        """The checkpoint, written by the first worker; the others wait until it is kept."""
        with tempfile.TemporaryDirectory(prefix="attn-checkpoint-") as name:
            first = self.group.rank == 0
            checkpoint = save_state(Path(name), self.trainer, self.kept, progress) if first else None
            ray.train.report(progress.rows[-1], checkpoint=checkpoint)

    def _resumed(self) -> Progress:
        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            return Progress([])
        progress, self.kept = load_state(checkpoint, self.trainer)
        return progress


def _sampler(job: EnergyJob, device: torch.device) -> QuadrupleSampler:
    return QuadrupleSampler(
        torch.from_numpy(job.train.labels).to(device),
        torch.from_numpy(job.train.num_frames).to(device),
        num_classes=len(job.concepts.vectors),
        samples=samples_per_update(job.config),
        seed=job.config.seed,
    )


def _map_scale(job: EnergyJob, maps: TrainingMaps, group: Group) -> float:
    """Root mean square of the maps that are learnt from.

    Source: Li et al. 2017 leaves open how maps are scaled; one number keeps their relative energies.
    """
    if job.config.map_scale == "none":
        return 1.0
    total, count = group.sum(torch.tensor(maps.sum_of_squares(group), dtype=torch.float64)).tolist()
    return math.sqrt(total / count) or 1.0
