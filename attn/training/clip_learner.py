"""Training of a network of clips on one worker: epochs, validation on held-out videos, best weights."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import Tensor

from attn.errors import UsageError
from attn.eval.metrics import top_k_accuracy
from attn.models.attention_distillation import ClipCnn
from attn.models.clip_file import TrainedClipCnn
from attn.stages.clip_scoring import score_clips
from attn.stages.clips import scored_clips
from attn.training.array_cache import Array
from attn.training.cache_folder import cache_folder
from attn.training.clip_data import ClipData, Place
from attn.training.clip_job import ClipJob
from attn.training.clip_rows import TRAIN_ACCURACY
from attn.training.clip_training import ClipTrainer, Step
from attn.training.diverged import check_weights
from attn.training.group import Group
from attn.training.loop import Progress
from attn.training.status import Row
from attn.training.storage import check_storage
from attn.training.validated_learner import ValidatedLearner, check_loss
from attn.training.validated_rows import ACCURACY
from attn.training.video_table import VideoTable

READERS = 4
"""Number of threads that copy frames from a store."""


@contextmanager
def clip_learner(
    job: ClipJob, group: Group, status: Progress, *, net: ClipCnn, teacher: TrainedClipCnn | None = None
) -> Iterator["ClipLearner | UsageError"]:
    """Copy frames and flow to this machine; yield the learner, or the error for the user.

    Args:
        job: training.
        group: this worker and its group.
        status: receiver of the progress.
        net: initial network; modified in place.
        teacher: network of flow; None without one.
    """
    with cache_folder(job.cache_folder, "attn-clips-", job.own_key, group) as folder:
        found, refusal = [], None
        try:
            check_storage(job.run_url)
            for source in (job.frames, job.flow):
                status.update(skipped={}, note=f"reading {source.url}" if source else "")
                found.append(source and source.cached(folder, threads=READERS, tell=lambda done: None))
        except UsageError as error:
            refusal = str(error)
        refusal = next((text for text in group.gather(refusal) if text), None) or _too_many(job, group)
        if refusal is not None:
            yield UsageError(refusal)
            return
        frames, flow = found
        learner = ClipLearner(job, frames, flow, group, status.note, net=net, teacher=teacher)
        try:
            yield learner
        finally:
            learner.trainer.close()


def _too_many(job: ClipJob, group: Group) -> str | None:
    smallest = len(job.train.video_ids) // job.updates_per_epoch
    if smallest < group.size:
        return f"--workers {group.size}: some updates have only {smallest} clips. Give {smallest} or fewer."
    return None


class ClipLearner(ValidatedLearner[ClipTrainer]):
    """A network of clips in training on one worker, see `attn.training.loop.Learner`.

    Args:
        job: training.
        frames: frames of all videos; None if they are not used.
        flow: flow of all videos; None if it is not used.
        group: this worker and its group.
        note: callback that receives the current activity.
        net: initial network; modified in place.
        teacher: network of flow; None without one.

    Attributes:
        kept: weights of the best validation.
    """

    unit, lr_flags = "epoch", "--lr"

    def __init__(
        self,
        job: ClipJob,
        frames: Array | None,
        flow: Array | None,
        group: Group,
        note: Callable[[str], None],
        *,
        net: ClipCnn,
        teacher: TrainedClipCnn | None = None,
    ) -> None:
        self.job, self.group, self._note = job, group, note
        self.net = net.to(group.device)
        self.kept: dict[str, Tensor] = {}
        self._frames, self._flow = frames, flow
        if teacher is not None:
            teacher.net.to(group.device)
        self.trainer = ClipTrainer(
            self.net,
            self._data(job.train),
            job.input,
            job.options,
            group,
            teacher=teacher,
            pretrained=job.options.weights is not None,
        )

    def is_over(self, rows: Sequence[Row]) -> bool:
        """Return whether all epochs are done."""
        return bool(rows) and rows[-1]["epoch"] >= self.job.options.epochs

    def next_row(self, rows: Sequence[Row]) -> Row:
        started_s, epoch = time.monotonic(), len(rows)
        per_epoch = self.trainer.updates_per_epoch
        steps = [self._update(number) for number in range(epoch * per_epoch, (epoch + 1) * per_epoch)]
        trained_s = time.monotonic() - started_s
        check_weights(self.net.state_dict(), f"after epoch {epoch + 1}")
        clips = sum(step.clips for step in steps)
        return {
            "epoch": epoch + 1,
            **_means(steps),
            ACCURACY: self._validated(),
            "clips_per_s": clips / trained_s,
            "seconds": time.monotonic() - started_s,
        }

    def _data(self, table: VideoTable) -> ClipData:
        source = self.job.frames or self.job.flow
        first = {} if source is None else source.first_row
        rows = np.array([first[video_id] for video_id in table.video_ids], np.int64)
        return ClipData(self._frames, self._flow, rows, table, self.job.sampling)

    def _update(self, number: int) -> Step:
        step = self.trainer.update(number)
        check_loss(step.loss, number)
        self._note(f"update {number + 1}: loss {step.loss:.3f}")
        return step

    def _validated(self) -> float | None:
        """Accuracy on the middle clip of each held-out video, which the workers share; None without videos."""
        held_out, taken = self.job.held_out, self.job.input
        if not held_out.video_ids:
            return None
        own, _ = held_out.share(self.group.rank, self.group.size)
        data, batch = self._data(own), self.job.options.batch
        places = [
            Place(clip.video, clip.start, clip.view)
            for clip in scored_clips(
                own.num_frames.tolist(), data.sampling, clips=1, crops=1, size=taken.size, side=taken.crop
            )
        ]
        of_modality = data.clips_of_flow if self.job.architecture.modality == "flow" else data.clips_of_frames
        batches = (of_modality(places[start : start + batch]) for start in range(0, len(places), batch))
        found = [scored.logits.cpu().numpy() for scored in score_clips(self.net, taken, batches)]
        empty = np.zeros((0, len(self.job.class_names)), np.float32)
        scores = np.concatenate(self.group.gather(np.concatenate([empty, *found])))
        return top_k_accuracy(scores, held_out.labels)


def _means(steps: Sequence[Step]) -> dict[str, Any]:
    """Means over the clips of all updates, at least one."""
    weights = np.array([step.clips for step in steps], np.float64)
    weights /= weights.sum()
    names = {"loss": "loss", "cross_entropy": "cross_entropy", "motion_kl": "motion_kl", "prior_kl": "prior_kl"}
    names["accuracy"] = TRAIN_ACCURACY
    return {shown: float(weights @ [getattr(step, name) for step in steps]) for name, shown in names.items()}
