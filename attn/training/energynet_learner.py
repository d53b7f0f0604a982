"""Training of an EnergyNet on one worker: updates, validation on held-out videos, best weights."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from attn.mining.sampler import QuadrupleSampler
from attn.mining.schedule import CandidateSchedule
from attn.models.energynet import EnergyNet
from attn.models.start_average import StartAverage
from attn.training.bank import Bank
from attn.training.diverged import DivergedError, check_weights
from attn.training.early_stop import is_over, is_worse
from attn.training.energy_config import start_share
from attn.training.energy_training import EnergyTrainer, Step, TrainingMaps, samples_per_update
from attn.training.energy_validation import Look, directions, look, score_bank, spread, true_maps
from attn.training.energynet_job import EnergyJob
from attn.training.energynet_rows import ACCURACY, KEPT_ACCURACY, KEPT_SHORTFALL, SHORTFALL, SPREAD, Progress
from attn.training.group import Group
from attn.training.state import State, plain
from attn.training.status import Row


class EnergyLearner:
    """An EnergyNet in training on one worker, see `attn.training.loop.Learner`.

    Args:
        job: training.
        maps: training maps.
        validation: this worker's share of the held-out videos.
        group: this worker and its group.
        note: callback that receives the current activity.

    Attributes:
        kept: weights of the best validation; empty if they are the current ones.
        kept_validation: number of that validation, counted from 1; None without held-out videos.
    """

    unit, lr_flags = "update", "--lr"

    def __init__(
        self,
        job: EnergyJob,
        maps: TrainingMaps,
        validation: Bank,
        group: Group,
        note: Callable[[str], None],
    ):
        self.job, self.group, self.config = job, group, job.config
        self.validation, self._note = validation, note
        self.scale = _map_scale(job, maps, group)
        self.residual_scale = _residual_scale(job, maps, group)
        self.net = self._net()
        # The head of a residual network is initially 0, which makes the network equal to UnAtt.
        self.average = StartAverage(self.net.energy_head, start_share(self.config, len(job.train.video_ids)))
        self.kept: dict[str, torch.Tensor] = {}
        self.kept_validation: int | None = None
        self.trainer = EnergyTrainer(self.net, maps, _sampler(job, group.device), self.config, group)

    def _net(self) -> EnergyNet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            net = new_net(
                self.job,
                torch.from_numpy(self.job.concepts.vectors),
                map_scale=self.scale,
                residual_scale=self.residual_scale,
            )
        return net.to(self.group.device)

    def prepare(self) -> None:
        if self.config.centre:
            self.trainer.centre()

    def is_over(self, rows: Sequence[Row]) -> bool:
        """Return whether all updates are done, or early stopping ends the training."""
        if rows and rows[-1]["update"] >= self.config.updates:
            return True
        return is_over(self.progress(rows).accuracies, self._held_out, self.config.patience)

    def start_row(self) -> Row | None:
        """Row of the initial weights, with losses of random samples; None with --recipe paper or without validation."""
        if self.config.recipe != "steady" or not self._held_out:
            return None
        started_s = time.monotonic()
        seen = self._validated(self.trainer.measure())
        return {"update": 0, **seen, "updates_per_s": None, "seconds": time.monotonic() - started_s}

    def next_row(self, rows: Sequence[Row]) -> Row:
        started_s = time.monotonic()
        first = rows[-1]["update"] if rows else 0
        stop = min(first + self.config.look_every, self.config.updates)
        steps = [self._update(number) for number in range(first, stop)]
        trained_s = time.monotonic() - started_s
        check_weights(self.net.named_parameters(), f"after update {stop}")
        means = Step(*(sum(values) / len(steps) for values in zip(*steps, strict=True)))
        seen = self._validated(means)
        return {
            "update": stop,
            **seen,
            "updates_per_s": len(steps) / trained_s,
            "seconds": time.monotonic() - started_s,
        }

    def judge(self, rows: Sequence[Row]) -> None:
        """Keep the current weights unless the initial or earlier ones are better; add the kept accuracy to the row."""
        progress, videos = self.progress(rows), self._held_out
        if videos and not is_worse(progress.accuracies, videos) and progress.beats_start:
            self.kept_validation, self.kept = len(rows), self._averaged()
        elif not videos and self.average.share:
            self.kept = self._averaged()
        kept = self.progress(rows).kept_row
        rows[-1].update({KEPT_ACCURACY: kept[ACCURACY], KEPT_SHORTFALL: kept[SHORTFALL]})

    def state(self, rows: Sequence[Row]) -> State:
        record = {"rows": list(rows), "schedule": self.trainer.schedule.state(), "kept": self.kept_validation}
        return State(self.net.state_dict(), self.kept, self.trainer.optimizer.state_dict(), record)

    def restore(self, state: State) -> None:
        self.net.load_state_dict(state.weights)
        self.trainer.optimizer.load_state_dict(state.optimizer)
        self.trainer.schedule = CandidateSchedule(**(state.record["schedule"] or {}))
        self.kept_validation = state.record["kept"]
        self.kept = state.best if self.kept_validation else {}

    def progress(self, rows: Sequence[Row]) -> Progress:
        """Return the progress up to the last of these rows."""
        return Progress(list(rows), self.trainer.schedule.state(), self.kept_validation)

    @property
    def _held_out(self) -> int:
        return len(self.job.held_out.video_ids)

    def _validated(self, means: Step) -> dict[str, Any]:
        """Return the columns of a row that describe the current weights."""
        seen, schedule = self._look(), self.trainer.schedule
        return {
            **means._asdict(),
            "monitor": schedule.monitor,
            "candidates": schedule.candidates,
            ACCURACY: seen.correct / seen.videos if seen.videos else None,
            SHORTFALL: seen.shortfall / seen.videos if seen.videos else None,
            SPREAD: self._spread(),
        }

    def _update(self, number: int) -> Step:
        step = self.trainer.update(number)
        if not math.isfinite(step.loss):
            raise DivergedError(f"the loss is not finite at update {number + 1}")
        self._note(f"update {number + 1} of {self.config.updates}: loss {step.loss:.3f}")
        return step

    def _look(self) -> Look:
        """Validate on the held-out videos, shared by the workers."""
        with self.average.applied():
            scores = score_bank(self.net, self.validation, self.group.device)
        labels = torch.from_numpy(self.validation.table.labels).to(self.group.device)
        own = look(scores, labels, margin=self.config.energy_margin)
        return Look(*self.group.sum(torch.tensor(own, dtype=torch.float64)).tolist())

    def _spread(self) -> float:
        """Return the spread of the embeddings of true maps: of held-out videos, or of random training samples."""
        held_out = bool(self.job.held_out.video_ids)
        maps, classes = true_maps(self.validation) if held_out else self.trainer.anchors()
        return spread(self.group.sum(directions(self.net, maps, classes)))

    def _averaged(self) -> dict[str, torch.Tensor]:
        with self.average.applied():
            return plain(self.net.state_dict())


def new_net(
    job: EnergyJob, concept_vectors: torch.Tensor, *, map_scale: float = 1.0, residual_scale: float = 1.0
) -> EnergyNet:
    """Create the network of a job with its initial weights."""
    config = job.config
    return EnergyNet(
        concept_vectors,
        job.map_shape,
        hidden_dim=config.hidden_dim,
        embedding_dim=config.embedding_dim,
        map_scale=map_scale,
        normalise_embedding=config.normalise_embedding,
        residual=config.residual,
        residual_scale=residual_scale,
        window=job.window,
    )


def _sampler(job: EnergyJob, device: torch.device) -> QuadrupleSampler:
    return QuadrupleSampler(
        torch.from_numpy(job.train.labels).to(device),
        torch.from_numpy(job.train.num_frames).to(device),
        num_classes=len(job.concepts.vectors),
        samples=samples_per_update(job.config),
        seed=job.config.seed,
    )


def _map_scale(job: EnergyJob, maps: TrainingMaps, group: Group) -> float:
    """Root mean square of the training maps.

    Source: Li et al. 2017 do not specify how maps are scaled. A single scale preserves relative energies.
    """
    if job.config.map_scale == "none":
        return 1.0
    return _rms(maps.known_squares or maps.sum_of_squares(group), group, known=maps.known_squares is not None)


def _residual_scale(job: EnergyJob, maps: TrainingMaps, group: Group) -> float:
    """Root mean square of the window energies of the training maps, after the mean over the classes is subtracted.

        sqrt(mean over F and c of (E_window(F, c) - mean over c of E_window(F, c))²)

    Divided by it, differences of window energies are of the order of the margin.
    """
    if not job.config.residual:
        return 1.0
    known = maps.known_windows
    return _rms(known or maps.window_squares(group, job.window), group, known=known is not None)


def _rms(squares: tuple[float, int], group: Group, *, known: bool) -> float:
    """Root mean square from a sum of squares and their count, over all workers."""
    total, count = squares if known else group.sum(torch.tensor(squares, dtype=torch.float64)).tolist()
    return math.sqrt(total / count) or 1.0
