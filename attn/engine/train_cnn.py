"""Trains a CNN on Web images with Ray Train: the driver's part.

Whatever dies, the same command goes on after the last finished epoch; a finished training is not done again, and one
with other options is refused rather than mixed in. The price: two states are kept meanwhile, the best and the last,
each twice as large as the weights.
"""

import contextlib
import dataclasses
import importlib.metadata
import logging
import os
import platform
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.train import CheckpointConfig, FailureConfig, LoggingConfig, Result, RunConfig
from ray.train.torch import TorchConfig, TorchTrainer

from attn.engine.options import TrainCnnOptions
from attn.engine.placement import cluster_totals, living_nodes
from attn.engine.session import start_ray
from attn.engine.train_board import start_board
from attn.engine.train_checkpoint import load_state
from attn.engine.train_placement import WorkerPlacement, place_workers
from attn.engine.train_plan import TrainJob, make_training
from attn.engine.train_run import TrainRun
from attn.engine.train_storage import ray_storage
from attn.engine.train_watch import Row, TrainWatch, clock
from attn.engine.train_worker import ACCURACY, train_worker
from attn.errors import UsageError
from attn.models.checkpoint import Cnn, save_checkpoint

log = logging.getLogger(__name__)

MOST_FAILURES = 3
EXIT_INTERRUPTED = 130
# The first collective waits until the slowest machine has prepared its images.
GROUP_TIMEOUT_S = 4 * 3600
# Threads of torch that spin while they wait take the core from whatever else runs there: with other work on the
# machine, updates took five times as long.
THREADS_SLEEP = {"OMP_WAIT_POLICY": "PASSIVE"}
PACKAGES = ("torch", "torchvision", "ray", "numpy", "pillow")


def train_cnn(options: TrainCnnOptions) -> int:
    """Writes the checkpoint at `--out`; the exit code.

    Raises:
        UsageError: before anything was written, or because the images or the learning rates are no good.
    """
    run, job, cnn = make_training(options)
    if (report := run.report()) is not None:
        log.info("%s is finished already: validation accuracy %.3f", options.out, report[ACCURACY])
        return 0
    run.begin(_made_by(options))
    try:
        _train(run, job, cnn)
    except UsageError:
        run.forget()
        raise
    return 0


def _train(run: TrainRun, job: TrainJob, cnn: Cnn) -> None:
    started_s, options = time.monotonic(), job.options
    start_ray()
    placement = place_workers(options.workers, options.gpu, cluster_totals(), living_nodes())
    log.info("%s: %d images of %d classes; %s", options.images, len(job.names), len(job.class_names), placement)
    result = _fit(run, job, cnn, placement)
    _finish(run, cnn, result, options, time.monotonic() - started_s)


def _fit(run: TrainRun, job: TrainJob, cnn: Cnn, placement: WorkerPlacement) -> Result:
    """All epochs that are left.

    Raises:
        UsageError: the images or the learning rates are no good.
        TrainingFailedError: workers died, or failed, again and again.
    """
    # Else Ray looks for news every two seconds, and short epochs wait for it.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    storage, path = ray_storage(run.url)
    board = start_board()
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={"job": job, "cnn": ray.put(cnn), "board": board},
        scaling_config=placement.scaling,
        torch_config=TorchConfig(timeout_s=GROUP_TIMEOUT_S),
        run_config=RunConfig(
            name=run.name,
            storage_path=path,
            storage_filesystem=storage,
            checkpoint_config=CheckpointConfig(num_to_keep=1, checkpoint_score_attribute=ACCURACY),
            failure_config=FailureConfig(max_failures=MOST_FAILURES),
            logging_config=LoggingConfig(log_level="ERROR"),
            worker_runtime_env={"env_vars": THREADS_SLEEP},
        ),
    )
    epochs = job.options.epochs
    watch = TrainWatch(
        board, run, unit="epoch", total=epochs, line=lambda rows: epoch_line(rows, epochs), need=str(placement)
    )
    with interruptible(), watch:
        result = trainer.fit()
    if result.return_value is not None:
        raise UsageError(result.return_value)
    return result


def _finish(run: TrainRun, cnn: Cnn, result: Result, options: TrainCnnOptions, seconds: float) -> None:
    """The best epoch becomes the checkpoint; of equally good ones the last."""
    best, metrics = max(result.best_checkpoints or [], key=lambda one: (one[1][ACCURACY], one[1]["epoch"]))
    state = load_state(best, cnn.backbone)
    trained = {
        "on": options.images,
        "images": state["images"],
        "skipped": len(state["skipped"]),
        "epochs": options.epochs,
        "best_epoch": metrics["epoch"],
        ACCURACY: metrics[ACCURACY],
        **_made_by(options),
    }
    sha256 = save_checkpoint(options.out, dataclasses.replace(cnn, trained=trained))
    lists = {"skipped": state["skipped"], "validation_images": state["validation"]}
    run.finish({**trained, **lists, "seconds": round(seconds, 1), "checkpoint_sha256": sha256})
    log.info(
        "validation accuracy %.3f (epoch %d of %d), %.0f s: %s",
        *(metrics[ACCURACY], metrics["epoch"], options.epochs, seconds, options.out),
    )


def epoch_line(rows: Sequence[Row], epochs: int) -> str:
    """What the log says of the last of some epochs."""
    row = rows[-1]
    best = max(rows, key=lambda one: (one[ACCURACY], one["epoch"]))
    left_s = row["seconds"] * (epochs - row["epoch"])
    return (
        f"loss {row['train_loss']:.3f}, "
        f"train {row['train_accuracy']:.1%}, validation {row[ACCURACY]:.1%}{' (best)' if best is row else ''}, "
        f"{row['images_per_s']:.0f} images/s, ETA {clock(left_s)}"
    )


def _made_by(options: TrainCnnOptions) -> dict[str, Any]:
    return {
        "options": dataclasses.asdict(options),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
    }


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C stops the workers and says how to go on; afterwards it means what it meant before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:  # Ray's answer to Ctrl-C, with the exit code of success
        log.info("interrupted; the same command goes on after the last finished epoch")
        raise SystemExit(EXIT_INTERRUPTED) from stop
    finally:
        signal.signal(signal.SIGINT, before)
