"""Training of a soft-attention LSTM on the grids of labelled videos: job of the driver."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attn.commands.train_soft_attention_plan import make_soft_attention_training
from attn.durations import clock
from attn.engine.train.driver import Report, Training, train
from attn.models.soft_attention_file import TrainedSoftAttention, save_soft_attention
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.storage.error_messages import shown
from attn.storage.manifest import GRID_FIELDS, STORE_FIELDS, Manifest
from attn.training.run import TrainRun, varied
from attn.training.soft_attention_job import SoftAttentionJob
from attn.training.soft_attention_learner import initial_net, soft_attention_learner
from attn.training.soft_attention_options import TrainSoftAttentionOptions
from attn.training.soft_attention_rows import RETRAINING, chance_loss
from attn.training.state import State
from attn.training.status import Row
from attn.training.untrained import UNTRAINED
from attn.training.validated_rows import ACCURACY, MAP, figure_of, figure_text, kept_number, why_untrained


def train_soft_attention(options: TrainSoftAttentionOptions) -> int:
    """Write the network into `--out`; return the exit code, see `attn.engine.train.driver.train`."""
    run, job, store = make_soft_attention_training(options)
    return train(SoftAttentionTraining(run, job, store.manifest))


class SoftAttentionTraining(Training):
    """Training of a soft-attention LSTM, see `attn.engine.train.driver.Training`.

    Args:
        run: run folder.
        job: data for the workers.
        manifest: manifest of the store of the grids.
    """

    learner, unit = staticmethod(soft_attention_learner), "update"

    def __init__(self, run: TrainRun, job: SoftAttentionJob, manifest: Manifest):
        self.run, self.job, self.manifest = run, job, manifest
        self.options, self.total, self.most_cpus = job.options, job.total, job.options.cpus_per_worker

    def variant(self, out: str, point: Mapping[str, Any]) -> "SoftAttentionTraining":
        options = dataclasses.replace(self.options, out=out, **point)
        return SoftAttentionTraining(*varied(self.run, self.job, options, SoftAttentionConfig), self.manifest)

    def summary(self) -> str:
        job, windows = self.job, len(self.job.windows(self.job.train))
        return (
            f"{shown(job.store_url)}: {len(job.train.video_ids)} training videos ({job.train.rows} frames, {windows} "
            f"windows), {len(job.held_out.video_ids)} held out, {len(job.class_names)} classes"
        )

    def line(self, rows: Sequence[Row]) -> str:
        row = rows[-1]
        left_s = (self.total - row["update"]) / row["updates_per_s"]
        penalty = f", penalty {row['penalty']:.2f}" if self.options.attention_penalty else ""
        return (
            f"loss {row['loss']:.3f}, cross-entropy {row['cross_entropy']:.3f}{penalty}{figure_text(row)}, "
            f"{row['updates_per_s']:.1f} updates/s, ETA {clock(left_s)}"
        )

    def finish(self, state: State, seconds: float) -> Report:
        """Write the kept weights to the file of the network."""
        job, rows = self.job, state.record["rows"]
        kept = rows[kept_number(rows) - 1]
        validated = rows[kept_number([row for row in rows if not row[RETRAINING]]) - 1]
        learnt = job.all_videos if kept[RETRAINING] else job.train
        trained = {
            "videos": len(learnt.video_ids),
            "frames": learnt.rows,
            "held_out": len(job.held_out.video_ids),
            "kept_update": kept["update"],
            "updates": rows[-1]["update"],
            "validated_update": validated["update"],
            RETRAINING: kept[RETRAINING],
            **{name: validated[name] for name in (ACCURACY, MAP) if name in validated},
            "train_videos": list(job.train.video_ids),
            "held_out_videos": list(job.held_out.video_ids),
            "settings": {
                field.name: getattr(job.options, field.name) for field in dataclasses.fields(SoftAttentionConfig)
            },
            STORE_FIELDS: self.manifest.of(GRID_FIELDS),
            **self.made_by,
        }
        net = initial_net(job)
        net.load_state_dict(state.best)
        sha256 = save_soft_attention(
            job.options.out,
            TrainedSoftAttention(
                net, job.class_names, job.map_shape, self.manifest.backbone, self.manifest.fingerprint, trained
            ),
        )
        return {**trained, UNTRAINED: _why_untrained(job, rows), "sha256": sha256}

    def verdict(self, report: Report) -> str:
        after = f"update {report['kept_update']} of {report['updates']}"
        if figure_of(report) is None:
            return f"no videos held out; weights after {after} kept"
        if report[RETRAINING]:
            return (
                f"trained again on all {report['videos']} videos ({after}); {figure_text(report).removeprefix(', ')} "
                f"before (update {report['validated_update']})"
            )
        return f"{figure_text(report).removeprefix(', ')} ({after})"


def _why_untrained(job: SoftAttentionJob, rows: Sequence[Row]) -> list[str]:
    windows, held_out = job.windows(job.train), job.held_out
    counts = np.bincount(windows.video, minlength=len(job.train.video_ids))
    counted = 0 if job.multi_label else len(held_out.video_ids)
    shares = np.bincount(held_out.labels) / counted if counted else np.zeros(1)
    return why_untrained(
        rows,
        loss="cross_entropy",
        chance=chance_loss(job.train.targets, counts),
        most_frequent=float(max(shares)),
        held_out=counted,
        advice=("a higher --lr or more --epochs", "a smaller --hidden-dim or another --lr"),
    )
