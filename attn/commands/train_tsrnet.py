"""Training of a TSRNet on the features of untrimmed and trimmed videos: job of the driver."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attn.commands.train_tsrnet_plan import make_tsrnet_training
from attn.durations import clock
from attn.engine.train.driver import Report, Training, train
from attn.models.tsrnet_file import TrainedTsrnet, save_tsrnet
from attn.stages.tsrnet_config import TsrnetConfig
from attn.storage.error_messages import shown
from attn.storage.manifest import FEATURE_FIELDS, STORE_FIELDS, Manifest
from attn.training.run import TrainRun, varied
from attn.training.state import State
from attn.training.status import Row
from attn.training.tsrnet_job import TsrnetJob
from attn.training.tsrnet_learner import tsrnet_learner
from attn.training.tsrnet_options import TrainTsrnetOptions
from attn.training.tsrnet_training import new_net
from attn.training.untrained import UNTRAINED
from attn.training.validated_rows import ACCURACY, MAP, figure_of, figure_text, kept_number, why_untrained


def train_tsrnet(options: TrainTsrnetOptions) -> int:
    """Write the network into `--out`; return the exit code, see `attn.engine.train.driver.train`."""
    run, job, store = make_tsrnet_training(options)
    return train(TsrnetTraining(run, job, store.manifest))


class TsrnetTraining(Training):
    """Training of a TSRNet, see `attn.engine.train.driver.Training`.

    Args:
        run: run folder.
        job: data for the workers.
        manifest: manifest of the store of the untrimmed videos.
    """

    learner, unit = staticmethod(tsrnet_learner), "update"

    def __init__(self, run: TrainRun, job: TsrnetJob, manifest: Manifest):
        self.run, self.job, self.manifest = run, job, manifest
        self.options, self.total, self.most_cpus = job.options, job.total, job.options.cpus_per_worker

    def variant(self, out: str, point: Mapping[str, Any]) -> "TsrnetTraining":
        options = dataclasses.replace(self.options, out=out, **point)
        return TsrnetTraining(*varied(self.run, self.job, options, TsrnetConfig), self.manifest)

    def summary(self) -> str:
        job = self.job
        background = int((~job.train.targets.any(1)).sum())
        transfer = "no transfer"
        if job.trimmed is not None:
            shared = int(job.trimmed.targets.any(0).sum())
            transfer = f"{len(job.trimmed.video_ids)} trimmed videos of {shared} of these classes"
        return (
            f"{shown(job.store_url)}: {len(job.train.video_ids)} untrimmed training videos ({background} without an "
            f"action), {len(job.held_out.video_ids)} held out, {len(job.class_names)} classes; {transfer}"
        )

    def line(self, rows: Sequence[Row]) -> str:
        row = rows[-1]
        left_s = (self.total - row["update"]) / row["updates_per_s"]
        transfer = "" if self.job.trimmed is None else f", transfer {row['transfer']:.4f} (floor {row['floor']:.4f})"
        return (
            f"loss {row['loss']:.3f}, cross-entropy {row['class_loss']:.3f}{transfer}{figure_text(row)}, "
            f"{row['updates_per_s']:.1f} updates/s, ETA {clock(left_s)}"
        )

    def finish(self, state: State, seconds: float) -> Report:
        """Write the kept weights to the file of the network."""
        job, rows = self.job, state.record["rows"]
        kept = rows[kept_number(rows) - 1]
        trained = {
            "videos": len(job.train.video_ids),
            "trimmed_videos": 0 if job.trimmed is None else len(job.trimmed.video_ids),
            "held_out": len(job.held_out.video_ids),
            **job.sources,
            "init": job.init_sha256,
            "kept_update": kept["update"],
            "updates": rows[-1]["update"],
            **{name: kept[name] for name in (ACCURACY, MAP) if name in kept},
            "train_videos": list(job.train.video_ids),
            "held_out_videos": list(job.held_out.video_ids),
            "settings": {field.name: getattr(job.options, field.name) for field in dataclasses.fields(TsrnetConfig)},
            STORE_FIELDS: self.manifest.of(FEATURE_FIELDS),
            **self.made_by,
        }
        net = new_net(job.options, num_classes=len(job.class_names), num_channels=job.num_channels)
        net.load_state_dict(state.best)
        sha256 = save_tsrnet(
            job.options.out,
            TrainedTsrnet(
                *(net, job.class_names, job.options.num_samples),
                *(self.manifest.backbone, self.manifest.fingerprint, trained),
            ),
        )
        return {**trained, UNTRAINED: _why_untrained(job, rows), "sha256": sha256}

    def verdict(self, report: Report) -> str:
        after = f"update {report['kept_update']} of {report['updates']}"
        if figure_of(report) is None:
            return f"no videos held out; weights after {after} kept"
        return f"{figure_text(report).removeprefix(', ')} ({after})"


def chance_loss(targets: np.ndarray) -> float:
    """Cross-entropy of the mean L1-normalised label set, in nats; videos without a class do not count.

    Args:
        targets: mask of the classes of each video, with at least one class in all.
    """
    labelled = targets[targets.any(1)]
    shares = (labelled / labelled.sum(1, keepdims=True)).mean(0)
    return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())


def _why_untrained(job: TsrnetJob, rows: Sequence[Row]) -> list[str]:
    counted = 0 if job.multi_label else len(job.held_out.video_ids)
    shares = job.held_out.targets.mean(0) if counted else np.zeros(1)
    return why_untrained(
        rows,
        loss="class_loss",
        chance=chance_loss(job.train.targets),
        most_frequent=float(shares.max()),
        held_out=counted,
        advice=("a higher --lr or more --updates", "a lower --dropout or another --lr"),
    )
