"""Trains an EnergyNet on the maps of labelled videos with Ray Train: the driver's part.

Whatever dies, the same command resumes after the last look; a finished training is not done again, and one with other
options is refused rather than mixed in.
"""

import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Any

import torch

from attn.engine.clock import clock
from attn.engine.options import TrainEnergyNetOptions
from attn.engine.training.board import Row
from attn.engine.training.energynet_loop import new_net
from attn.engine.training.energynet_plan import EnergyJob, make_energy_training
from attn.engine.training.energynet_state import ACCURACY, SHORTFALL, SPREAD, Progress, load_kept
from attn.engine.training.energynet_worker import train_energynet_worker
from attn.engine.training.fit import fit, last_state, made_by
from attn.engine.training.placement import place_training
from attn.engine.training.run import TrainRun
from attn.engine.training.verdict import exit_code
from attn.errors import UsageError
from attn.models.energynet import EnergyNet
from attn.models.energynet_file import TrainedEnergyNet, save_energynet
from attn.stages.energy_untrained import Training, why_untrained
from attn.stages.untrained import UNTRAINED
from attn.storage.manifest import Manifest
from attn.storage.store import AttentionStore

log = logging.getLogger(__name__)

PACKAGES = ("torch", "ray", "numpy", "pyarrow")


def train_energynet(options: TrainEnergyNetOptions) -> int:
    """Writes the EnergyNet into `--out`; the exit code.

    Raises:
        UsageError: before anything was written, or because the maps or the learning rate are no good.
    """
    run, job, store = make_energy_training(options)
    if (report := run.report()) is not None:
        run.drop_states()  # a kill may have come before
        log.info("%s is finished already: %s", options.out, _verdict(report))
        return exit_code(report, allow_untrained=options.allow_untrained)
    with run.occupied():
        new = run.begin({"options": dataclasses.asdict(options), **made_by(PACKAGES)})
        try:
            report = _train(run, job, store)
        except UsageError:
            if new:
                run.forget()
            raise
    return exit_code(report, allow_untrained=options.allow_untrained)


def _train(run: TrainRun, job: EnergyJob, store: AttentionStore) -> dict[str, Any]:
    started_s, options = time.monotonic(), job.options
    # The network is so small that a second thread costs more than it brings.
    placement = place_training(options.workers, options.gpu, most_cpus=1)
    log.info(
        "%s: %d videos (%d frames, maps of %s) to learn from, %d held out, %d classes with %s vectors; %s",
        *(options.store, len(job.train.video_ids), job.train.rows, job.map_source["map_source"]),
        len(job.held_out.video_ids),
        *(len(job.concepts.vectors), job.concepts.record["aggregation"], placement),
    )
    fit(
        *(train_energynet_worker, {"job": job}, run, placement),
        unit="update",
        total=options.updates,
        line=lambda rows: look_line(rows, options.updates),
    )
    weights, progress = load_kept(last_state(run))
    report = finish(run, job, store.manifest, weights, progress, time.monotonic() - started_s)
    log.info("%s, %.0f s: %s", _verdict(report), report["seconds"], options.out)
    return report


def finish(
    run: TrainRun,
    job: EnergyJob,
    manifest: Manifest,
    weights: dict[str, torch.Tensor],
    progress: Progress,
    seconds: float,
) -> dict[str, Any]:
    """The state that was kept becomes the EnergyNet in `--out`; the report that is written beside it.

    Args:
        run: the training.
        job: what was trained.
        manifest: of the store whose maps will be scored.
        weights: that are kept; the last where no video is held out.
        progress: of the training.
        seconds: that it took.
    """
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
        "options": dataclasses.asdict(job.options),
        **made_by(PACKAGES),
    }
    net = _net(job, weights)
    sha256 = save_energynet(
        job.options.out,
        TrainedEnergyNet(net, manifest.class_names, manifest.map_shape, manifest.fingerprint, trained),
    )
    report = {
        **trained,
        "map_scale": float(net.map_scale),
        "residual_scale": None if net.residual_scale is None else float(net.residual_scale),
        "start_accuracy": progress.start and progress.start[ACCURACY],
        SPREAD: kept.get(SPREAD),
        UNTRAINED: _why_untrained(job, progress),
        "seconds": round(seconds, 1),
        "sha256": sha256,
    }
    run.finish(report)
    return report


def _net(job: EnergyJob, weights: dict[str, torch.Tensor]) -> EnergyNet:
    net = new_net(job, weights["concept_vectors"])
    net.load_state_dict(weights)
    return net


def _why_untrained(job: EnergyJob, progress: Progress) -> list[str]:
    config = job.config
    training = Training(
        margin=config.energy_margin,
        residual=config.residual,
        triplets=config.triplet_weight > 0,
        classes=len(job.concepts.vectors),
        held_out=len(job.held_out.video_ids),
    )
    return why_untrained(progress.rows, progress.kept_row, training)


def look_line(rows: Sequence[Row], updates: int) -> str:
    """What the log says of the last of some looks."""
    row = rows[-1]
    held_out = "" if row[ACCURACY] is None else f"validation {row[ACCURACY]:.1%} (short by {row[SHORTFALL]:.3f}), "
    spread = f"spread {row[SPREAD]:.2f}, " if SPREAD in row else ""  # none in rows of before it was told
    pace = ""
    if row["updates_per_s"] is not None:
        left_s = (updates - row["update"]) / row["updates_per_s"]
        pace = f", {row['updates_per_s']:.0f} updates/s, ETA {clock(left_s)}"
    return (
        f"loss {row['loss']:.3f}, random {row['random_ranking']:.3f} + {row['random_triplet']:.3f}, {held_out}{spread}"
        f"{row['candidates']} candidates{pace}"
    )


def _verdict(report: dict[str, Any]) -> str:
    if report[ACCURACY] is None:
        return f"no video held out; state after update {report['kept_update']} kept"
    if report["kept_update"] == 0:
        return (
            f"validation accuracy {report[ACCURACY]:.3f} before the first update: none of {report['updates']} updates "
            "was better, so the start is kept"
        )
    return f"validation accuracy {report[ACCURACY]:.3f} (update {report['kept_update']} of {report['updates']})"
