"""Trains a CNN on Web images, or on frames of videos, with Ray Train: the driver's part.

After any death the same command resumes: with the videos that are not decoded, then after the last finished epoch. A
finished training is not done again, and one with other options is refused rather than mixed in. The price: the last two
epochs are kept meanwhile, each with the weights of the best one beside it: six times the weights at most.
"""

import dataclasses
import logging
import time
from typing import Any

from attn.engine.options import TrainCnnOptions
from attn.engine.training.checkpoint import load_kept
from attn.engine.training.cnn_job import Training, TrainJob
from attn.engine.training.cnn_plan import MIXED, make_training
from attn.engine.training.cnn_rows import ACCURACY, epoch_line
from attn.engine.training.cnn_worker import train_worker
from attn.engine.training.fit import fit, last_state, made_by
from attn.engine.training.footage import FootageRecord, decode_footage, footage_record
from attn.engine.training.placement import WorkerPlacement, place_training
from attn.engine.training.run import TrainRun
from attn.engine.training.verdict import exit_code
from attn.errors import UsageError
from attn.models.checkpoint import Cnn, save_checkpoint
from attn.stages.pictures import VideoFrames
from attn.stages.untrained import UNTRAINED, untrained_reasons

log = logging.getLogger(__name__)

PACKAGES = ("torch", "torchvision", "ray", "numpy", "pillow")


def train_cnn(options: TrainCnnOptions) -> int:
    """Writes the checkpoint at `--out`; the exit code.

    Raises:
        UsageError: before anything was written, or because the images or the learning rates are no good.
    """
    training = make_training(options)
    if (report := training.run.report()) is not None:
        training.run.drop_states()  # a kill may have come before
        log.info("%s is finished already: %s", options.out, _verdict(report))
        return exit_code(report, allow_untrained=options.allow_untrained)
    with training.run.occupied():
        new = training.run.begin(_made_by(training.job.options))
        try:
            return _train(training)
        except UsageError:
            if new:
                training.run.forget()
            raise


def _train(training: Training) -> int:
    started_s, run, job, cnn = time.monotonic(), training.run, training.job, training.cnn
    options = job.options
    placement = place_training(options.workers, options.gpu, most_cpus=options.cpus_per_worker)
    footage = None
    if training.footage is not None and training.frames is not None:
        frames = decode_footage(training.footage, training.frames, run)
        if not isinstance(frames, VideoFrames):
            return frames
        job = dataclasses.replace(job, pictures=frames)
        footage = footage_record(training.footage, frames, run)
    log.info(
        "%s: %d %s of %d classes; %s",
        *(_source(job), len(job.pictures.labels), job.pictures.noun, len(job.class_names), placement),
    )
    if job.mixed is not None:
        log.info("mixed with %d images of %s", len(job.mixed.labels), options.mix_images)
    _fit(run, job, cnn, placement)
    report = _finish(run, job, cnn, footage, time.monotonic() - started_s)
    return exit_code(report, allow_untrained=options.allow_untrained)


def _fit(run: TrainRun, job: TrainJob, cnn: Cnn, placement: WorkerPlacement) -> None:
    """All epochs that are left."""
    fit(
        *(train_worker, {"job": job}, run, placement),
        unit="epoch",
        total=job.epochs,
        line=lambda rows: epoch_line(rows, job.epochs),
        large={"cnn": cnn},
    )


def _finish(run: TrainRun, job: TrainJob, cnn: Cnn, footage: FootageRecord | None, seconds: float) -> dict[str, Any]:
    """The best epoch becomes the checkpoint, see `best_row`; the report."""
    state = load_kept(last_state(run), cnn.backbone)
    rows = {row["epoch"]: row for row in state["epochs"]}
    metrics, last = rows[state["kept_epoch"]], state["epochs"][-1]
    images = {"skipped": state["skipped"], "validation_images": state["validation"]}
    summary, lists = footage or ({}, images)
    mixed, mixed_lists = _mixed(job, state)
    trained = {
        "on": _source(job),
        "images": state["images"],
        "skipped": len(state["skipped"]),
        "epochs": job.epochs,
        "start_share": job.start_share,
        "best_epoch": metrics["epoch"],
        ACCURACY: metrics[ACCURACY],
        "start_accuracy": rows[0][ACCURACY] if 0 in rows else None,
        UNTRAINED: untrained_reasons(metrics if metrics["epoch"] else last, last),
        **summary,
        **mixed,
        **_made_by(job.options),
    }
    sha256 = save_checkpoint(job.options.out, dataclasses.replace(cnn, trained=trained))
    report = {**trained, **lists, **mixed_lists, "seconds": round(seconds, 1), "checkpoint_sha256": sha256}
    run.finish(report)
    log.info("%s, %.0f s: %s", _verdict(trained), seconds, job.options.out)
    return report


def _mixed(job: TrainJob, state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Record of the Web images that were learnt beside frames, for the checkpoint; and what else the report says."""
    if job.mixed is None:
        return {}, {}
    skipped = state["mixed"]["skipped"]
    record = {
        "url": job.options.mix_images,
        "images": state["mixed"]["images"],
        "skipped": len(skipped),
        "validation_fraction": job.mixed.validation_fraction,
        "seed": job.mixed.seed,
    }
    return {MIXED: record}, {f"{MIXED}_skipped": skipped}


def _source(job: TrainJob) -> str:
    return str(job.options.videos or job.options.images)


def _verdict(report: dict[str, Any]) -> str:
    if report[ACCURACY] is None:
        return f"nothing held out; epoch {report['best_epoch']} kept"
    if report["best_epoch"] == 0:
        return f"validation accuracy {report[ACCURACY]:.3f} (the start is kept: no epoch was better)"
    return f"validation accuracy {report[ACCURACY]:.3f} (epoch {report['best_epoch']} of {report['epochs']})"


def _made_by(options: TrainCnnOptions) -> dict[str, Any]:
    return {"options": dataclasses.asdict(options), **made_by(PACKAGES)}
