"""Training loops on Ray Train: workers, storage, progress and worker failures."""

import contextlib
import copy
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ray
import torch
from ray.train import FailureConfig, LoggingConfig, Result, RunConfig, UserCallback, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer

from attn.engine.exit_codes import EXIT_INTERRUPTED
from attn.engine.placement import living_nodes, may_grow
from attn.engine.train.remote_status import RemoteStatus
from attn.engine.train.train_watch import TrainWatch
from attn.engine.train.worker_failures import refusal_of_failures
from attn.engine.train.worker_placement import WorkerPlacement
from attn.errors import UsageError
from attn.training.checkpoints import CheckpointFolder, Files
from attn.training.run import TrainRun
from attn.training.status import LocalStatus, Row
from attn.training.storage import ray_storage

log = logging.getLogger(__name__)

MOST_FAILURES = 3
# The first collective waits until the slowest machine has read its data.
GROUP_TIMEOUT_S = 4 * 3600
# Idle torch threads that spin occupy cores that other processes need: on a busy machine, updates took five times as
# long. `attn.commands.cli` does the same for this process.
THREADS_SLEEP = {"OMP_WAIT_POLICY": "PASSIVE"}


def fit(
    worker: Callable[[dict[str, Any]], UsageError | None],
    config: dict[str, Any],
    run: TrainRun,
    placement: WorkerPlacement,
    *,
    unit: str,
    total: int,
    line: Callable[[Sequence[Row]], str],
    large: Mapping[str, Any] | None = None,
    callbacks: Sequence[UserCallback] = (),
) -> Result:
    """Run a training loop to its end; restart lost workers from the newest checkpoint.

    Args:
        worker: training loop; returns None, or the reason why the user must change something.
        config: argument of the loop, to which `states`, `status` and `large` are added.
        run: training run, with its name and the URL of its checkpoints.
        placement: workers and their resources.
        unit, total, line: format of the progress in the log, see `TrainWatch`.
        large: values sent through Ray's object store.
        callbacks: callbacks of Ray Train; not called in local mode.

    Raises:
        UsageError: the loop returned this error, or workers were lost too often.
        TrainingFailedError: the loop or Ray failed too often.
    """
    status = LocalStatus() if placement.in_place else RemoteStatus()
    if placement.in_place:
        logging.getLogger("ray.train").setLevel(logging.WARNING)  # local mode logs a note about itself and every report
    # The URL of the checkpoints is resolved here, because workers have another working directory.
    config = {**config, "states": run.states, "status": status}
    trainer = _trainer(_loop(worker, config, large or {}, placement), run, placement, callbacks)
    watch = TrainWatch(status, run, unit=unit, total=total, line=line, need=str(placement))
    with _interruptible(), watch:
        result = _in_place(trainer, placement) if placement.in_place else _fitted(trainer)
    if result.return_value is not None:
        raise result.return_value
    return result


def _loop(
    worker: Callable[[dict[str, Any]], UsageError | None],
    config: dict[str, Any],
    large: Mapping[str, Any],
    placement: WorkerPlacement,
) -> Callable[[], UsageError | None]:
    """Bind the arguments of a loop; Ray's controller would unpickle a `train_loop_config` and import torch for it."""
    if placement.in_place:
        copies = copy.deepcopy(dict(large))  # the loop modifies its network; workers have copies too
        return lambda: worker({**config, "large": copies})
    stored = {name: ray.put(value) for name, value in large.items()}
    return lambda: worker({**config, "large": {name: ray.get(value) for name, value in stored.items()}})


def _trainer(
    loop: Callable[[], UsageError | None],
    run: TrainRun,
    placement: WorkerPlacement,
    callbacks: Sequence[UserCallback],
) -> TorchTrainer:
    if placement.in_place:
        logging.getLogger("ray.train").setLevel(logging.WARNING)  # local mode logs itself and every report
    else:
        # By default, Ray polls the workers every two seconds, which delays short epochs.
        os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
        if len(living_nodes()) == 1 and not may_grow():
            # The watcher is a process that detects preempted nodes. If the only node is preempted, the driver ends too.
            os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    storage, path = ray_storage(run.url)
    return TorchTrainer(
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


def _in_place(trainer: TorchTrainer, placement: WorkerPlacement) -> Result:
    """Train in this process, with as many threads as a worker would have."""
    before = torch.get_num_threads()
    torch.set_num_threads(placement.cpus)
    try:
        return trainer.fit()
    finally:
        torch.set_num_threads(before)


def _fitted(trainer: TorchTrainer) -> Result:
    try:
        return trainer.fit()
    except WorkerGroupError as error:
        refusal = refusal_of_failures(error, MOST_FAILURES + 1)
        if refusal is None:
            raise
        raise refusal from error


def last_state(run: TrainRun) -> Files:
    """Return the files of the last checkpoint of a training that has ended.

    Raises:
        UsageError: the checkpoint is damaged; running the same command again repeats the end of the training.
    """
    checkpoints = CheckpointFolder(run.states)
    files = checkpoints.restore()
    if files is None or checkpoints.damaged:
        why = "; ".join(checkpoints.damaged) or f"{run.states}: the checkpoint is missing"
        raise UsageError(f"{why}. Run the same command again to repeat the lost part of the training.")
    return files


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Stop the workers on Ctrl-C and log how to resume; the previous handler of Ctrl-C is restored on exit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:  # Ray turns Ctrl-C into an exit with code 0
        log.info("interrupted; run the same command to resume from the last checkpoint")
        raise SystemExit(EXIT_INTERRUPTED) from stop
    finally:
        signal.signal(signal.SIGINT, before)
