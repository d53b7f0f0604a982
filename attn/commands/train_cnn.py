"""Fine-tuning of a CNN on Web images or on frames of videos: job of the driver.

While the training runs, two checkpoints are kept. Each also holds the optimizer and the weights of the best epoch, so
both take at most six times the size of the weights.
"""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from attn.commands.train_cnn_plan import MIXED, PlannedTraining, make_training
from attn.commands.training_videos import TrainingVideosRecord, decode_training_videos, training_videos_record
from attn.engine.train.driver import Report, Training, train
from attn.models.checkpoint import save_checkpoint
from attn.training.cnn_job import TrainJob
from attn.training.cnn_options import TrainCnnOptions
from attn.training.cnn_rows import ACCURACY, VALIDATION_LOSS, epoch_line
from attn.training.cnn_worker import cnn_learner
from attn.training.pictures import VideoFrames
from attn.training.state import State
from attn.training.status import Row
from attn.training.untrained import UNTRAINED, untrained_reasons

log = logging.getLogger(__name__)

PACKAGES = ("torch", "torchvision", "ray", "numpy", "pillow")


def train_cnn(options: TrainCnnOptions) -> int:
    """Write the checkpoint to `--out`; return the exit code, see `attn.engine.train.driver.train`."""
    return train(CnnTraining(make_training(options)))


class CnnTraining(Training):
    """Fine-tuning of a CNN, see `attn.engine.train.driver.Training`.

    Args:
        planned: result of `make_training`.
    """

    learner, unit, packages = staticmethod(cnn_learner), "epoch", PACKAGES

    def __init__(self, planned: PlannedTraining):
        self._planned = planned
        self._videos: TrainingVideosRecord | None = planned.videos
        self.run, self.job, self.cnn = planned.run, planned.job, planned.cnn
        self.options, self.total = planned.job.options, planned.job.epochs
        self.most_cpus, self.large = self.options.cpus_per_worker, {"cnn": self.cnn}

    def prepare(self) -> int:
        """Decode the frames that are missing in the frame store."""
        footage, store = self._planned.footage, self._planned.frames
        if footage is None or store is None:
            return 0
        frames = decode_training_videos(footage, store, self.run)
        if not isinstance(frames, VideoFrames):
            return frames
        self.job = dataclasses.replace(self.job, pictures=frames)
        self._videos = training_videos_record(footage, frames, self.run)
        return 0

    def summary(self) -> str:
        job = self.job
        pictures = f"{len(job.pictures.labels)} {job.pictures.noun}"
        mixed = f", mixed with {len(job.mixed.labels)} images of {self.options.mix_images}" if job.mixed else ""
        return f"{_source(job)}: {pictures} of {len(job.class_names)} classes{mixed}"

    def line(self, rows: Sequence[Row]) -> str:
        return epoch_line(rows, self.total, self.options.keep_by)

    def finish(self, state: State, seconds: float) -> Report:
        """Write the weights of the best epoch to the model file."""
        self.cnn.backbone.import_weights(state.best)
        job, record = self.job, state.record
        rows = {row["epoch"]: row for row in record["rows"]}
        best, last = rows[record["kept_epoch"]], record["rows"][-1]
        summary, lists = self._videos or ({}, {"skipped": record["skipped"], "validation_images": record["validation"]})
        mixed, mixed_lists = _mixed(job, record)
        trained = {
            "on": _source(job),
            "images": record["images"],
            "skipped": len(record["skipped"]),
            "epochs": job.epochs,
            "start_share": job.start_share,
            "best_epoch": best["epoch"],
            "keep_by": job.options.keep_by,
            ACCURACY: best[ACCURACY],
            VALIDATION_LOSS: best[VALIDATION_LOSS],
            "start_accuracy": rows[0][ACCURACY] if 0 in rows else None,
            UNTRAINED: untrained_reasons(best if best["epoch"] else last, last),
            **summary,
            **mixed,
            **self.made_by,
        }
        sha256 = save_checkpoint(job.options.out, dataclasses.replace(self.cnn, trained=trained))
        return {**trained, **lists, **mixed_lists, "checkpoint_sha256": sha256}

    def verdict(self, report: Report) -> str:
        if report[ACCURACY] is None:
            return f"no videos held out; epoch {report['best_epoch']} kept"
        if report["best_epoch"] == 0:
            return f"validation accuracy {report[ACCURACY]:.3f} (initial weights kept: no epoch was better)"
        return f"validation accuracy {report[ACCURACY]:.3f} (epoch {report['best_epoch']} of {report['epochs']})"


def _mixed(job: TrainJob, record: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the record of the mixed-in Web images for the model file, and further entries for the report."""
    if job.mixed is None:
        return {}, {}
    skipped = record["mixed"]["skipped"]
    mixed = {
        "url": job.options.mix_images,
        "images": record["mixed"]["images"],
        "skipped": len(skipped),
        "validation_fraction": job.mixed.validation_fraction,
        "seed": job.mixed.seed,
    }
    return {MIXED: mixed}, {f"{MIXED}_skipped": skipped}


def _source(job: TrainJob) -> str:
    return str(job.options.videos or job.options.flow or job.options.images)
