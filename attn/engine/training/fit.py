"""Running a training loop on Ray Train, whichever it is: its workers, its storage, what happens when they die."""

import contextlib
import importlib.metadata
import logging
import os
import platform
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ray.train import CheckpointConfig, FailureConfig, LoggingConfig, Result, RunConfig, UserCallback
from ray.train.torch import TorchConfig, TorchTrainer

from attn.engine.cli import EXIT_INTERRUPTED
from attn.engine.training.placement import WorkerPlacement
from attn.engine.training.run import TrainRun
from attn.engine.training.storage import ray_storage
from attn.engine.training.watch import TrainWatch
from attn.errors import UsageError

log = logging.getLogger(__name__)

MOST_FAILURES = 3
# The first collective waits until the slowest machine has read its data.
GROUP_TIMEOUT_S = 4 * 3600
# Threads of torch that spin while they wait take the core from whatever else runs there: with other work on the
# machine, updates took five times as long.
THREADS_SLEEP = {"OMP_WAIT_POLICY": "PASSIVE"}


def fit(
    worker: Callable[[dict[str, Any]], str | None],
    config: dict[str, Any],
    run: TrainRun,
    placement: WorkerPlacement,
    watch: TrainWatch,
    keep: CheckpointConfig,
    callbacks: Sequence[UserCallback] = (),
) -> Result:
    """Runs the loop to its end, from the last checkpoint where there is one.

    Args:
        worker: the loop; what it returns is why the user must change something, None for a good end.
        config: what the loop gets.
        run: names the training and says where its checkpoints lie.
        placement: workers and what each gets.
        watch: tells the user meanwhile.
        keep: which checkpoints.
        callbacks: of Ray Train, told with every report.

    Raises:
        UsageError: what the loop returned.
        TrainingFailedError: workers died, or failed, again and again.
    """
    # Else Ray looks for news every two seconds, and short epochs wait for it.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    storage, path = ray_storage(run.url)
    trainer = TorchTrainer(
        worker,
        train_loop_config=config,
        scaling_config=placement.scaling,
        torch_config=TorchConfig(timeout_s=GROUP_TIMEOUT_S),
        run_config=RunConfig(
            name=run.name,
            storage_path=path,
            storage_filesystem=storage,
            checkpoint_config=keep,
            callbacks=list(callbacks),
            failure_config=FailureConfig(max_failures=MOST_FAILURES),
            logging_config=LoggingConfig(log_level="ERROR"),
            worker_runtime_env={"env_vars": THREADS_SLEEP},
        ),
    )
    with _interruptible(), watch:
        result = trainer.fit()
    if result.return_value is not None:
        raise UsageError(result.return_value)
    return result


def made_by(packages: Sequence[str]) -> dict[str, Any]:
    """Versions of Python and of some packages, for the record."""
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {"packages": versions, "python": platform.python_version()}


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C stops the workers and says how to go on; afterwards it means what it meant before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:  # Ray's answer to Ctrl-C, with the exit code of success
        log.info("interrupted; the same command goes on from the last checkpoint")
        raise SystemExit(EXIT_INTERRUPTED) from stop
    finally:
        signal.signal(signal.SIGINT, before)
