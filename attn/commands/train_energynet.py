"""Training of an EnergyNet on the maps of labelled videos: job of the driver."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from attn.commands.train_energynet_plan import make_energy_training, with_config
from attn.durations import clock
from attn.engine.train.driver import Report, Training, train
from attn.engine.train.shared_bank import share_bank
from attn.models.energynet import EnergyNet
from attn.models.energynet_file import TrainedEnergyNet, save_energynet
from attn.schema import MAPS
from attn.storage.manifest import SCORE_FIELDS, STORE_FIELDS, Manifest
from attn.training import energy_untrained
from attn.training.energy_config import start_share
from attn.training.energynet_job import EnergyJob
from attn.training.energynet_learner import new_net
from attn.training.energynet_maps import energy_learner, map_squares
from attn.training.energynet_options import TrainEnergyNetOptions
from attn.training.energynet_rows import ACCURACY, SHORTFALL, SPREAD, Progress
from attn.training.run import TrainRun
from attn.training.state import State
from attn.training.status import Row
from attn.training.untrained import UNTRAINED

log = logging.getLogger(__name__)

PACKAGES = ("torch", "ray", "numpy", "pyarrow")


def train_energynet(options: TrainEnergyNetOptions) -> int:
    """Write the EnergyNet into `--out`; return the exit code, see `attn.engine.train.driver.train`."""
    run, job, store = make_energy_training(options)
    return train(EnergyTraining(run, job, store.manifest))


class EnergyTraining(Training):
    """Training of an EnergyNet, see `attn.engine.train.driver.Training`.

    Args:
        run: run folder.
        job: data for the workers.
        manifest: manifest of the store whose maps will be scored.
        large: `maps`, if they are shared in the object store.
    """

    learner, unit, packages = staticmethod(energy_learner), "update", PACKAGES
    most_cpus = 1  # the network is so small that a second thread slows it down

    def __init__(self, run: TrainRun, job: EnergyJob, manifest: Manifest, large: Mapping[str, Any] | None = None):
        self.run, self.job, self.manifest = run, job, manifest
        self.options, self.total, self.large = job.options, job.options.updates, large or {}

    def variant(self, out: str, point: Mapping[str, Any]) -> "EnergyTraining":
        options = dataclasses.replace(self.options, out=out, **point)
        return EnergyTraining(*with_config(self.run, self.job, options), self.manifest, self.large)

    def shared(self) -> "EnergyTraining":
        return EnergyTraining(self.run, self.job, self.manifest, {"maps": share_bank(self.job, MAPS, map_squares)})

    def summary(self) -> str:
        job = self.job
        return (
            f"{job.options.store}: {len(job.train.video_ids)} training videos ({job.train.rows} frames, maps of "
            f"{job.map_source['map_source']}), {len(job.held_out.video_ids)} held out, {len(job.concepts.vectors)} "
            f"classes with {job.concepts.record['aggregation']} vectors"
        )

    def line(self, rows: Sequence[Row]) -> str:
        return validation_line(rows, self.total)

    def finish(self, state: State, seconds: float) -> Report:
        """Write the weights of the best validation to the EnergyNet file."""
        job, record = self.job, state.record
        progress = Progress(record["rows"], record["schedule"], record["kept"])
        kept = progress.kept_row
        trained = {
            "videos": len(job.train.video_ids),
            "frames": job.train.rows,
            "held_out": len(job.held_out.video_ids),
            "kept_update": kept["update"],
            "updates": progress.rows[-1]["update"],
            **job.map_source,
            "switched_at": (progress.schedule or {}).get("switched_at"),
            ACCURACY: kept[ACCURACY],
            SHORTFALL: kept[SHORTFALL],
            "concepts": job.concepts.record,
            "train_videos": list(job.train.video_ids),
            "held_out_videos": list(job.held_out.video_ids),
            STORE_FIELDS: self.manifest.of(SCORE_FIELDS),
            **self.made_by,
        }
        net, manifest = _net(job, state.best), self.manifest
        sha256 = save_energynet(
            job.options.out,
            TrainedEnergyNet(net, manifest.class_names, manifest.map_shape, manifest.fingerprint, trained),
        )
        return {
            **trained,
            "map_scale": float(net.map_scale),
            "residual_scale": None if net.residual_scale is None else float(net.residual_scale),
            "start_share": start_share(job.config, len(job.train.video_ids)),
            "start_accuracy": progress.start and progress.start[ACCURACY],
            SPREAD: kept.get(SPREAD),
            UNTRAINED: _why_untrained(job, progress),
            "sha256": sha256,
        }

    def verdict(self, report: Report) -> str:
        if report[ACCURACY] is None:
            return f"no videos held out; weights after update {report['kept_update']} kept"
        if report["kept_update"] == 0:
            return (
                f"validation accuracy {report[ACCURACY]:.3f} (initial weights kept: no better validation in "
                f"{report['updates']} updates)"
            )
        return f"validation accuracy {report[ACCURACY]:.3f} (update {report['kept_update']} of {report['updates']})"


def _net(job: EnergyJob, weights: dict[str, torch.Tensor]) -> EnergyNet:
    net = new_net(job, weights["concept_vectors"])
    net.load_state_dict(weights)
    return net


def _why_untrained(job: EnergyJob, progress: Progress) -> list[str]:
    config = job.config
    training = energy_untrained.Training(
        margin=config.energy_margin,
        residual=config.residual,
        triplets=config.triplet_weight > 0,
        classes=len(job.concepts.vectors),
        held_out=len(job.held_out.video_ids),
    )
    return energy_untrained.why_untrained(progress.rows, progress.kept_row, training)


def validation_line(rows: Sequence[Row], updates: int) -> str:
    """Return the log line of the last validation."""
    row = rows[-1]
    held_out = "" if row[ACCURACY] is None else f"validation {row[ACCURACY]:.1%} (shortfall {row[SHORTFALL]:.3f}), "
    spread = f"spread {row[SPREAD]:.2f}, " if SPREAD in row else ""  # older rows lack it
    pace = ""
    if row["updates_per_s"] is not None:
        left_s = (updates - row["update"]) / row["updates_per_s"]
        pace = f", {row['updates_per_s']:.0f} updates/s, ETA {clock(left_s)}"
    return (
        f"loss {row['loss']:.3f}, random {row['random_ranking']:.3f} + {row['random_triplet']:.3f}, {held_out}{spread}"
        f"{row['candidates']} candidates{pace}"
    )
