"""The loop of an EnergyNet's training: updates, a look at the held-out videos, the state kept, until the end.

Of several workers each runs it; where there is but one, it needs no Ray Train.
"""

import math
import time
from collections.abc import Iterator
from typing import Any, Protocol

import torch

from attn.engine.training.diverged import DivergedError, check_weights
from attn.engine.training.energynet_plan import EnergyJob
from attn.engine.training.energynet_state import (
    ACCURACY,
    KEPT_ACCURACY,
    KEPT_SHORTFALL,
    SHORTFALL,
    SPREAD,
    Progress,
    load_state,
    plain,
    save_state,
)
from attn.engine.training.group import Group
from attn.engine.training.keeper import Keeper
from attn.errors import UsageError
from attn.mining.sampler import QuadrupleSampler
from attn.models.energynet import EnergyNet
from attn.models.start_average import StartAverage
from attn.stages.early_stop import is_over, is_worse
from attn.stages.energy_training import EnergyTrainer, Step, TrainingMaps, samples_per_update
from attn.stages.energy_validation import Look, directions, look, score_bank, spread, true_maps
from attn.stages.map_bank import MapBank


class News(Protocol):
    """Where a worker says how far it is."""

    def note(self, text: str) -> None:
        """Notes what is being done; called for every update."""
        ...

    def pin(self, **changes: Any) -> None:
        """Fields of `attn.engine.training.board.News`."""
        ...


class EnergyLoop:
    """One worker with its network and the maps it holds.

    Args:
        job: what is trained.
        maps: that are learnt from.
        validation: this worker's share of the held-out videos.
        group: its place among all workers.
        news: whom it tells.
        keeper: of its state.

    Attributes:
        progress: how far it is.
        kept: weights of the look that is kept; none where those of now are.
    """

    def __init__(
        self, job: EnergyJob, maps: TrainingMaps, validation: MapBank, group: Group, news: News, keeper: Keeper
    ):
        self.job, self.group, self.config = job, group, job.config
        self.validation = validation
        self._news, self._keeper = news, keeper
        self.scale = _map_scale(job, maps, group)
        self.residual_scale = _residual_scale(job, maps, group)
        self.net = self._net()
        # The head of a residual network starts as 0, which is UnAtt.
        share = self.config.start_share if self.config.residual else 0.0
        self.average = StartAverage(self.net.energy_head, share)
        self.progress = Progress([])
        self.kept: dict[str, torch.Tensor] = {}
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

    def run(self) -> UsageError | None:
        """All updates that are left; why it had to stop early. The states before are kept."""
        try:
            self._resume()
            self._go_on()
        except DivergedError as error:
            reached = self.progress.rows[-1]["update"] if self.progress.rows else 0
            return error.explained(flags="--lr", run_url=self.job.run_url, kept=f"update {reached}" if reached else "")
        except UsageError as error:
            return error
        return None

    def _go_on(self) -> None:
        progress = self.progress
        if not progress.rows and self.config.recipe == "steady" and self.job.held_out.video_ids:
            # Not stored before the next one: a training refused for its first updates leaves nothing behind.
            self._add(self._start_row())
        while not self._done():
            self._add(self._next_row(progress.rows))
            self._keeper.keep(progress.rows[-1]["update"], progress.rows[-1], self._save)
            self._news.pin(rows=progress.rows, note="")

    def _add(self, row: dict[str, Any]) -> None:
        """Adds a row, and to it what the state that is kept has reached."""
        self.progress.rows = [*self.progress.rows, row]
        self._judge()
        kept = self.progress.kept_row
        row |= {KEPT_ACCURACY: kept[ACCURACY], KEPT_SHORTFALL: kept[SHORTFALL]}

    def _done(self) -> bool:
        """Whether all updates are done, or none has helped for long."""
        rows, config = self.progress.rows, self.config
        if rows and rows[-1]["update"] >= config.updates:
            return True
        return is_over(self.progress.accuracies, len(self.job.held_out.video_ids), config.patience)

    def _next_row(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Updates up to the next look, and the look."""
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

    def _start_row(self) -> dict[str, Any]:
        """The state before the first update; its losses are those of random samples alone."""
        started_s = time.monotonic()
        seen = self._validated(self.trainer.measure())
        return {"update": 0, **seen, "updates_per_s": None, "seconds": time.monotonic() - started_s}

    def _validated(self, means: Step) -> dict[str, Any]:
        """Part of a row that describes the current state."""
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
        self._news.note(f"update {number + 1} of {self.config.updates}: loss {step.loss:.3f}")
        return step

    def _look(self) -> Look:
        """The held-out videos, shared by the workers."""
        with self.average.applied():
            scores = score_bank(self.net, self.validation, self.group.device)
        labels = torch.from_numpy(self.validation.table.labels).to(self.group.device)
        mine = look(scores, labels, margin=self.config.energy_margin)
        return Look(*self.group.sum(torch.tensor(mine, dtype=torch.float64)).tolist())

    def _spread(self) -> float:
        """Spread of the embeddings of true maps of held-out videos; of random training samples if none is held out."""
        held_out = bool(self.job.held_out.video_ids)
        maps, classes = true_maps(self.validation) if held_out else self.trainer.anchors()
        return spread(self.group.sum(directions(self.net, maps, classes)))

    def _judge(self) -> None:
        """Keeps the weights of the newest look unless it is worse than one before, or no better than the start."""
        videos = len(self.job.held_out.video_ids)
        if videos and not is_worse(self.progress.accuracies, videos) and self.progress.beats_start:
            self.progress.kept = len(self.progress.rows)
            self.kept = self._averaged()
        elif not videos and self.average.share:
            self.kept = self._averaged()

    def _averaged(self) -> dict[str, torch.Tensor]:
        with self.average.applied():
            return plain(self.net.state_dict())

    def _save(self) -> Iterator[tuple[str, bytes]]:
        return save_state(self.trainer, self.kept, self.progress)

    def _resume(self) -> None:
        files = self._keeper.restored()
        if files is not None:
            self.progress, self.kept = load_state(files, self.trainer)
        elif self.config.centre:
            self.trainer.centre()
        rows = self.progress.rows
        self._news.pin(
            started_s=time.time(), resumed=len(rows), rows=rows, note="", damaged=tuple(self._keeper.damaged)
        )


def new_net(
    job: EnergyJob, concept_vectors: torch.Tensor, *, map_scale: float = 1.0, residual_scale: float = 1.0
) -> EnergyNet:
    """The network that a job trains, with its first weights."""
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
    """Root mean square of the maps that are learnt from.

    Source: Li et al. 2017 leaves open how maps are scaled; one number keeps their relative energies.
    """
    if job.config.map_scale == "none":
        return 1.0
    return _rms(maps.known_squares or maps.sum_of_squares(group), group, known=maps.known_squares is not None)


def _residual_scale(job: EnergyJob, maps: TrainingMaps, group: Group) -> float:
    """Root mean square of the window energies that are learnt from, less the mean of each frame's.

        sqrt(mean over F and c of (E_window(F, c) - mean over c of E_window(F, c))²)

    In units of it, differences of window energies are of the size of the margin.
    """
    if not job.config.residual:
        return 1.0
    known = maps.known_windows
    return _rms(known or maps.window_squares(group, job.map_shape, job.window), group, known=known is not None)


def _rms(squares: tuple[float, int], group: Group, *, known: bool) -> float:
    """Root mean square from a sum of squares and their count, over all workers."""
    total, count = squares if known else group.sum(torch.tensor(squares, dtype=torch.float64)).tolist()
    return math.sqrt(total / count) or 1.0
