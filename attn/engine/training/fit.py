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

from ray.train import FailureConfig, LoggingConfig, Result, RunConfig, UserCallback, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer

from attn.engine.cli import EXIT_INTERRUPTED
from attn.engine.placement import living_nodes, may_grow
from attn.engine.training.deaths import refusal_of_deaths
from attn.engine.training.keeper import Files, FolderKeeper
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
    worker: Callable[[dict[str, Any]], UsageError | None],
    config: dict[str, Any],
    run: TrainRun,
    placement: WorkerPlacement,
    watch: TrainWatch,
    callbacks: Sequence[UserCallback] = (),
) -> Result:
    """Runs the loop to its end; where workers die, anew from the state that they kept last.

    Args:
        worker: the loop; what it returns is why the user must change something, None for a good end.
        config: what the loop gets, beside `states`.
        run: names the training and says where its states lie.
        placement: workers and what each gets.
        watch: tells the user meanwhile.
        callbacks: of Ray Train, told with every report.

    Raises:
        UsageError: what the loop returned; or workers died again and again.
        TrainingFailedError: the loop, or Ray, failed again and again.
    """
    # Else Ray looks for news every two seconds, and short epochs wait for it.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    if len(living_nodes()) == 1 and not may_grow():
        # A process that looks out for machines that are going to be taken away; here the driver would go with them.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    storage, path = ray_storage(run.url)
    config = {**config, "states": run.states}  # here, since workers run in a folder of their own

    # Not as `train_loop_config`: Ray's controller would unpack that too, and load for it all that a worker needs.
    def loop() -> UsageError | None:
        return worker(config)

    trainer = TorchTrainer(
        loop,
        scaling_config=placement.scaling,
        torch_config=TorchConfig(timeout_s=GROUP_TIMEOUT_S),
        run_config=RunConfig(
            name=run.name,
            storage_path=path,
            storage_filesystem=storage,
            callbacks=list(callbacks),
            failure_config=FailureConfig(max_failures=MOST_FAILURES),
            logging_config=LoggingConfig(log_level="ERROR"),
            worker_runtime_env={"env_vars": THREADS_SLEEP},
        ),
    )
    with _interruptible(), watch:
        result = _fitted(trainer)
    if result.return_value is not None:
        raise result.return_value
    return result


def _fitted(trainer: TorchTrainer) -> Result:
    try:
        return trainer.fit()
    except WorkerGroupError as error:
        refusal = refusal_of_deaths(error, MOST_FAILURES + 1)
        if refusal is None:
            raise
        raise refusal from error


def last_state(run: TrainRun) -> Files:
    """What a training that is over has kept last.

    Raises:
        UsageError: it was damaged since: the same command does the rest of the training again.
    """
    states = FolderKeeper(run.states)
    files = states.restored()
    if files is None or states.damaged:
        why = "; ".join(states.damaged) or f"{run.states} is gone"
        raise UsageError(f"{why}; the same command does again what is lost")
    return files


def made_by(packages: Sequence[str]) -> dict[str, Any]:
    """Versions of Python and of some packages, for the record."""
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {"packages": versions, "python": platform.python_version()}


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C stops the workers and says how to resume; afterwards it means what it meant before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:  # Ray's answer to Ctrl-C, with the exit code of success
        log.info("interrupted; the same command resumes from the last state")
        raise SystemExit(EXIT_INTERRUPTED) from stop
    finally:
        signal.signal(signal.SIGINT, before)
