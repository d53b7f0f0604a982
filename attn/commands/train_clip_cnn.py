"""Training of a network of clips, a flow teacher or its student: job of the driver."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from attn.commands.train_clip_cnn_plan import PlannedClipTraining, make_clip_training
from attn.durations import clock
from attn.engine.train.driver import Report, Training, train
from attn.models.clip_file import TrainedClipCnn, save_clip_cnn
from attn.stages.clip_config import ClipConfig
from attn.storage.error_messages import shown
from attn.training.clip_job import ClipJob
from attn.training.clip_learner import clip_learner
from attn.training.clip_options import TrainClipCnnOptions
from attn.training.clip_rows import TRAIN_ACCURACY, chance_loss
from attn.training.state import State
from attn.training.status import Row
from attn.training.untrained import UNTRAINED
from attn.training.validated_rows import ACCURACY, figure_text, kept_number, why_untrained


def train_clip_cnn(options: TrainClipCnnOptions) -> int:
    """Write the network to `--out`; return the exit code, see `attn.engine.train.driver.train`."""
    return train(ClipTraining(make_clip_training(options)))


class ClipTraining(Training):
    """Training of a network of clips, see `attn.engine.train.driver.Training`.

    Args:
        planned: result of `make_clip_training`.
    """

    learner, unit = staticmethod(clip_learner), "epoch"
    packages = ("torch", "torchvision", "ray", "numpy")

    def __init__(self, planned: PlannedClipTraining) -> None:
        self._planned, self.run, self.job = planned, planned.run, planned.job
        self.options, self.total = planned.job.options, planned.job.options.epochs
        self.most_cpus = self.options.cpus_per_worker
        self.large = {"net": planned.net, "teacher": planned.teacher}

    def summary(self) -> str:
        job, options = self.job, self.job.options
        source = job.frames or job.flow
        short = f" ({job.short_videos} shorter than a clip, their last frame is repeated)" if job.short_videos else ""
        return (
            f"{shown(source.url) if source else ''}: {len(job.train.video_ids)} training videos{short}, "
            f"{len(job.held_out.video_ids)} held out, {len(job.class_names)} classes, {options.modality}"
            f"{', taught by ' + shown(options.teacher) if options.teacher else ''}"
        )

    def line(self, rows: Sequence[Row]) -> str:
        row = rows[-1]
        left_s = (self.total - row["epoch"]) * row["seconds"]
        motion = f", motion KL {row['motion_kl']:.3f}" if self._planned.teacher else ""
        return (
            f"loss {row['loss']:.3f}{motion}, train accuracy {row[TRAIN_ACCURACY]:.3f}{figure_text(row)}, "
            f"{row['clips_per_s']:.1f} clips/s, ETA {clock(left_s)}"
        )

    def finish(self, state: State, seconds: float) -> Report:
        """Write the kept weights to the file of the network."""
        job, rows, teacher = self.job, state.record["rows"], self._planned.teacher
        kept = rows[kept_number(rows) - 1]
        trained = {
            "videos": len(job.train.video_ids),
            "held_out": len(job.held_out.video_ids),
            "short_videos": job.short_videos,
            "kept_epoch": kept["epoch"],
            "epochs": rows[-1]["epoch"],
            ACCURACY: kept[ACCURACY],
            "motion_kl": kept["motion_kl"] if teacher else None,
            "teacher_sha256": teacher.sha256 if teacher else None,
            "train_videos": list(job.train.video_ids),
            "held_out_videos": list(job.held_out.video_ids),
            "settings": {field.name: getattr(job.options, field.name) for field in dataclasses.fields(ClipConfig)},
            **self.made_by,
        }
        net = self._planned.net
        net.load_state_dict(state.best)
        flow = self._planned.flow if job.architecture.modality == "flow" else {}
        written = TrainedClipCnn(net, job.class_names, job.input, flow, trained)
        sha256 = save_clip_cnn(job.options.out, written)
        return {**trained, UNTRAINED: _why_untrained(job, rows), "sha256": sha256}

    def verdict(self, report: Report) -> str:
        after = f"epoch {report['kept_epoch']} of {report['epochs']}"
        if report[ACCURACY] is None:
            return f"no videos held out; weights after {after} kept"
        return f"{figure_text(report).removeprefix(', ')} ({after})"


def _why_untrained(job: ClipJob, rows: Sequence[Row]) -> list[str]:
    counts = np.bincount(job.train.labels, minlength=len(job.class_names)).tolist()
    held_out = len(job.held_out.video_ids)
    shares = np.bincount(job.held_out.labels) / held_out if held_out else np.zeros(1)
    return why_untrained(
        rows,
        loss="cross_entropy",
        chance=chance_loss(counts, job.options.label_smoothing),
        most_frequent=float(max(shares)),
        held_out=held_out,
        advice=("another --lr or more --epochs", "--weights kinetics or another --lr"),
    )
