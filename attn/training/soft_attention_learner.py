"""Training of a soft-attention LSTM on one worker: updates, validation on held-out videos, best weights."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from attn.errors import UsageError
from attn.eval.metrics import mean_average_precision, top_k_accuracy
from attn.models.soft_attention import SoftAttention
from attn.schema import GRID
from attn.stages.soft_attention_scoring import score_videos
from attn.storage.filesystem import storage_errors
from attn.training.bank import Bank, on_device, read_bank
from attn.training.cache_folder import cache_folder
from attn.training.diverged import check_weights
from attn.training.group import Group
from attn.training.loop import Progress
from attn.training.soft_attention_job import SoftAttentionJob
from attn.training.soft_attention_rows import RETRAINING
from attn.training.soft_attention_training import LabelledWindows, SoftAttentionTrainer, Step, new_net
from attn.training.state import State
from attn.training.status import Row
from attn.training.storage import check_storage
from attn.training.trial_records import OBJECTIVE
from attn.training.validated_learner import ValidatedLearner, check_loss
from attn.training.validated_rows import ACCURACY, MAP, figure_of, kept_number
from attn.training.video_table import VideoTable

KEPT_CUBES = 8
"""Number of tensors of the size of a batch's cubes that an update holds; an estimate."""


@contextmanager
def soft_attention_learner(
    job: SoftAttentionJob, group: Group, status: Progress, *, gpus: float = 1.0
) -> Iterator["SoftAttentionLearner | UsageError"]:
    """Map the grids on this machine; yield the learner, or the error for the user.

    Args:
        job: training.
        group: this worker and its group.
        status: receiver of the progress.
        gpus: share of the GPU that this training may use.
    """
    status.update(skipped={}, note="reading grids")
    with cache_folder(job.cache_folder, "attn-grids-", job.own_key, group) as folder:
        bank, refusal = None, None
        try:
            with storage_errors(job.store_url):
                check_storage(job.run_url)
                bank = read_bank([job.open_store()], job.cached_videos, GRID, cache=folder)
        except UsageError as error:
            refusal = str(error)
        refusal = next((text for text in group.gather(refusal) if text), None)
        if bank is None or refusal is not None:
            yield UsageError(refusal)
        else:
            placed = on_device(bank, group.device, gpus, reserved=_batch_bytes(job))
            learner = SoftAttentionLearner(job, placed, group, status.note)
            try:
                yield learner
            finally:
                learner.trainer.close()


class SoftAttentionLearner(ValidatedLearner[SoftAttentionTrainer]):
    """A soft-attention LSTM in training on one worker, see `attn.training.loop.Learner`.

    With `--retrain`, a second training on all videos follows, from the initial weights down to the training loss of
    the best validation.

    Args:
        job: training.
        grids: grids of `job.cached_videos`.
        group: this worker and its group.
        note: callback that receives the current activity.

    Attributes:
        kept: weights of the best validation.
    """

    unit, lr_flags = "update", "--lr"

    def __init__(self, job: SoftAttentionJob, grids: Bank, group: Group, note: Callable[[str], None]):
        self.job, self.group, self.config, self._note = job, group, job.options, note
        self._cubes = grids.values.flatten(2).mT
        self._first_updates = job.updates(job.train)
        self.kept: dict[str, torch.Tensor] = {}
        self.trainer = self._trainer(job.train)

    @property
    def net(self) -> SoftAttention:
        """Network in training."""
        return self.trainer.net

    def is_over(self, rows: Sequence[Row]) -> bool:
        """Return whether all updates are done, or the loss to reach on all videos is reached."""
        if not rows:
            return False
        if rows[-1]["update"] >= self.job.total:
            return True
        return rows[-1][RETRAINING] and self._cost(rows[-1]) <= self._cost_to_reach(rows)

    def next_row(self, rows: Sequence[Row]) -> Row:
        started_s = time.monotonic()
        first = rows[-1]["update"] if rows else 0
        if first == self._first_updates:
            self._train_on_all()
        retraining, begun = first >= self._first_updates, self._first_updates * (first >= self._first_updates)
        stop = begun + self._next_validation(first - begun)
        steps = [self._update(number, begun) for number in range(first, stop)]
        trained_s = time.monotonic() - started_s
        check_weights(self.net.named_parameters(), f"after update {stop}")
        validated = {} if retraining else self._validated()
        figures = [figure for row in (*rows, validated) if (figure := figure_of(row)) is not None]
        return {
            "update": stop,
            **_means(steps),
            **validated,
            **({OBJECTIVE: max(figures)} if figures else {}),
            RETRAINING: retraining,
            "updates_per_s": len(steps) / trained_s,
            "seconds": time.monotonic() - started_s,
        }

    def restore(self, state: State) -> None:
        if state.record["rows"][-1][RETRAINING]:
            self._train_on_all()
        super().restore(state)

    def _train_on_all(self) -> None:
        self.trainer.close()
        self.trainer = self._trainer(self.job.all_videos)

    def _trainer(self, table: VideoTable) -> SoftAttentionTrainer:
        data = LabelledWindows(self._cubes, self.job.windows(table), torch.from_numpy(table.targets))
        return SoftAttentionTrainer(initial_net(self.job).to(self.group.device), data, self.config, self.group)

    def _next_validation(self, done: int) -> int:
        """Number of the update after which the next validation follows.

        The last few updates of an epoch have no row of their own, because the mean of few losses is noise.
        """
        per_epoch, every = self.trainer.updates_per_epoch, self.config.look_every
        epoch, place = divmod(done, per_epoch)
        stop = (place // every + 1) * every
        return epoch * per_epoch + (per_epoch if stop + every / 2 > per_epoch else stop)

    def _update(self, number: int, begun: int) -> Step:
        step = self.trainer.update(number - begun)
        check_loss(step.loss, number)
        self._note(f"update {number + 1} of {self.job.total}: loss {step.loss:.3f}")
        return step

    def _validated(self) -> dict[str, Any]:
        """Return the figure of the held-out videos, which the workers share."""
        held_out = self.job.held_out
        name = MAP if self.job.multi_label else ACCURACY
        if not held_out.video_ids:
            return {name: None}
        own, _ = held_out.share(self.group.rank, self.group.size)
        scored = score_videos(
            self.net, self._cubes, self.job.windows(own), len(own.video_ids), of_frames=False, **self._how
        )
        scores = np.concatenate(self.group.gather(scored.scores.cpu().numpy()))
        if self.job.multi_label:
            return {name: mean_average_precision(scores, held_out.targets).value}
        return {name: top_k_accuracy(scores, held_out.labels)}

    def _cost(self, row: Row) -> float:
        """Training loss of a step and window, which does not depend on the number of windows."""
        return row["cross_entropy"] + self.config.attention_penalty * row["penalty"] / self.config.window_frames

    def _cost_to_reach(self, rows: Sequence[Row]) -> float:
        """Training loss of the best validation."""
        first = [row for row in rows if not row[RETRAINING]]
        return self._cost(first[kept_number(first) - 1])

    @property
    def _how(self) -> dict[str, Any]:
        config = self.config
        return {
            "aggregation": config.test_aggregation,
            "last_steps": config.last_steps,
            "batch": config.batch,
        }


def initial_net(job: SoftAttentionJob) -> SoftAttention:
    """Create the network of a job with its initial weights."""
    rows, cols = job.map_shape
    return new_net(
        job.options,
        num_classes=len(job.class_names),
        num_channels=job.num_channels,
        num_cells=rows * cols,
        multi_label=job.multi_label,
    )


def _means(steps: Sequence[Step]) -> dict[str, float]:
    """Means over updates, weighted by their windows except for the loss of an update.

    Args:
        steps: updates, at least one.
    """
    windows = np.array([step.windows for step in steps], np.float64)
    return {
        "loss": sum(step.loss for step in steps) / len(steps),
        "cross_entropy": float(windows @ [step.cross_entropy for step in steps] / windows.sum()),
        "penalty": float(windows @ [step.penalty for step in steps] / windows.sum()),
    }


def _batch_bytes(job: SoftAttentionJob) -> int:
    """Estimate of the memory of an update on a device, in bytes: cubes, projections and what autograd keeps of them."""
    config, (height, width) = job.options, job.map_shape
    cubes = 4 * config.batch * config.window_frames * height * width * job.num_channels
    return KEPT_CUBES * cubes * config.attention_layers
