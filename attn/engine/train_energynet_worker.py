"""What each worker of an EnergyNet's training does: read maps, then updates, look, checkpoint.

All workers decide alike: they draw the same samples, see the same sums of losses, and are told the same accuracy, so
nobody waits for a worker that has left.
"""

import dataclasses
import json
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import ray.train
import safetensors.torch
import torch
from ray.train import Checkpoint

from attn.engine.memory import available_bytes
from attn.engine.train_board import Pen
from attn.engine.train_energynet_plan import EnergyJob
from attn.engine.train_group import Group
from attn.engine.train_storage import check_storage
from attn.errors import UsageError
from attn.mining.sampler import QuadrupleSampler
from attn.mining.schedule import CandidateSchedule
from attn.models.energynet import EnergyNet
from attn.stages.early_stop import is_over, is_worse
from attn.stages.energy_training import EnergyTrainer, Step, TrainingMaps, samples_per_update
from attn.stages.energy_validation import Look, look, score_bank
from attn.stages.map_bank import MapBank, bank_bytes, read_bank
from attn.storage.store import AttentionStore

ACCURACY = "validation_accuracy"
SHORTFALL = "validation_shortfall"
WEIGHTS, KEPT, OPTIMIZER, STATE = "weights.safetensors", "kept.safetensors", "optimizer.pt", "state.json"
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
    try:
        found = _read(job, group)
        refusal = None
    except UsageError as error:
        found, refusal = None, str(error)
    refusal = next((text for text in group.gather(refusal) if text), None)
    if found is None or refusal is not None:
        return refusal
    return _Worker(job, *found, group, pen).run()


def _read(job: EnergyJob, group: Group) -> tuple[TrainingMaps, MapBank]:
    """The maps that this worker holds: all, or where they do not fit its share; and its share of the held-out ones."""
    options = job.options
    check_storage(job.run_url)
    store = AttentionStore.open(options.store, allow_partial=options.allow_partial)
    held_out, _ = job.held_out.share(group.rank, group.size)
    room = _room(options.map_memory_gb, group) - bank_bytes(store, held_out.rows)
    fits = bank_bytes(store, job.train.rows) <= room
    shared = group.size > 1 and not all(group.gather(fits))
    table, first_row = job.train.share(group.rank, group.size) if shared else (job.train, 0)
    threads = min(MOST_READERS, os.cpu_count() or 1)  # for seconds only, and more than the worker computes with
    bank = _on_device(read_bank(store, table, threads=threads, most_bytes=max(room, 0)), group.device)
    validation = read_bank(store, held_out, threads=threads, most_bytes=max(room, 0))
    return TrainingMaps(bank, group.device, first_row, group if shared else None), validation


def _room(given_gb: float | None, group: Group) -> int:
    """Bytes of this machine's memory that one worker may fill with maps."""
    return int(given_gb * 1e9) if given_gb is not None else int(available_bytes() * MEMORY_SHARE / group.local_size)


def _on_device(bank: MapBank, device: torch.device) -> MapBank:
    """Where the network is, if they fit there."""
    if device.type == "cuda" and bank.maps.nbytes <= DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
        return dataclasses.replace(bank, maps=bank.maps.to(device))
    return bank


class _NotFiniteError(Exception):
    """The loss became NaN or infinite; the message says when."""


@dataclasses.dataclass
class _Progress:
    """How far the training is.

    Attributes:
        rows: metrics of every look.
        schedule: of the candidates.
        kept: number of the look whose weights are kept; None without held-out videos.
    """

    rows: list[dict[str, Any]]
    schedule: dict[str, Any] | None = None
    kept: int | None = None

    @property
    def accuracies(self) -> list[float]:
        """Of the looks, where there are held-out videos."""
        return [row[ACCURACY] for row in self.rows if row[ACCURACY] is not None]


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

    def _done(self, progress: _Progress) -> bool:
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

    def _judge(self, progress: _Progress) -> None:
        """Keeps the weights of the newest look unless it is worse than one before."""
        videos = len(self.job.held_out.video_ids)
        if videos and not is_worse(progress.accuracies, videos):
            progress.kept = len(progress.rows)
            self.kept = {name: value.detach().cpu().clone() for name, value in self.net.state_dict().items()}

    def _report(self, progress: _Progress) -> None:
        """The checkpoint, written by the first worker; the others wait until it is kept."""
        progress.schedule = self.trainer.schedule.state()
        with tempfile.TemporaryDirectory(prefix="attn-checkpoint-") as name:
            checkpoint = None
            if self.group.rank == 0:
                folder = Path(name)
                safetensors.torch.save_file(_plain(self.net.state_dict()), folder / WEIGHTS)
                safetensors.torch.save_file(self.kept or _plain(self.net.state_dict()), folder / KEPT)
                torch.save(self.trainer.optimizer.state_dict(), folder / OPTIMIZER)
                (folder / STATE).write_text(json.dumps(dataclasses.asdict(progress)))
                checkpoint = Checkpoint.from_directory(folder)
            ray.train.report(progress.rows[-1], checkpoint=checkpoint)

    def _resumed(self) -> _Progress:
        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            return _Progress([])
        with checkpoint.as_directory() as name:
            folder = Path(name)
            progress = _Progress(**json.loads((folder / STATE).read_text()))
            self.net.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
            self.kept = safetensors.torch.load_file(folder / KEPT) if progress.kept else {}
            optimizer = torch.load(folder / OPTIMIZER, map_location="cpu", weights_only=True)
        self.trainer.optimizer.load_state_dict(optimizer)
        self.trainer.schedule = CandidateSchedule(**(progress.schedule or {}))
        return progress


def kept_weights(checkpoint: Checkpoint) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The weights that a training kept, and its progress: `rows`, and `kept`, the number of the row they are of."""
    with checkpoint.as_directory() as name:
        folder = Path(name)
        return safetensors.torch.load_file(folder / KEPT), json.loads((folder / STATE).read_text())


def _plain(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


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
