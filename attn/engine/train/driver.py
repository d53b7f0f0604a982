"""Driver of a training, the same for every model.

After a failure, the same command resumes from the last checkpoint. A finished training is not repeated, and a folder
that holds another training is rejected.
"""

import abc
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ray.train import UserCallback

from attn.engine.exit_codes import EXIT_UNTRAINED
from attn.engine.train.run_trainer import fit, last_state
from attn.engine.train.worker import train_worker
from attn.engine.train.worker_placement import WorkerPlacement, place_training
from attn.errors import UsageError
from attn.storage.store_manifest import made_by
from attn.training.run import TrainRun
from attn.training.state import State
from attn.training.status import Row
from attn.training.untrained import UNTRAINED

log = logging.getLogger(__name__)

Report = dict[str, Any]


class Training(abc.ABC):
    """Model-specific part of a training.

    Attributes:
        run: run folder.
        options: command-line options; the driver reads `out`, `workers`, `gpu` and `allow_untrained`.
        job: plain data for the workers, with a `run_url`.
        learner: context manager that creates the learner of a worker, see `attn.engine.train.worker.train_worker`. For
            a search, it also takes `gpus`, the share of a GPU that a trial may use.
        unit: `epoch` or `update`.
        total: number of epochs or updates.
        large: further arguments of `learner`, sent through Ray's object store.
        most_cpus: maximum number of CPUs per worker; None for no limit.
        packages: packages whose versions are recorded.
    """

    run: TrainRun
    options: Any
    job: Any
    learner: Callable[..., AbstractContextManager[Any]]
    unit: str
    total: int
    large: Mapping[str, Any] = {}
    most_cpus: int | None = None
    packages: Sequence[str] = ("torch", "ray", "numpy")

    @property
    def made_by(self) -> dict[str, Any]:
        """Options and versions of packages, for the record."""
        return {"options": dataclasses.asdict(self.options), **made_by(self.packages)}

    def variant(self, out: str, point: Mapping[str, Any]) -> "Training":
        """Return this training with another output folder and other settings, for a search.

        The learner's rows must have the best figure so far as `trial_records.OBJECTIVE`.

        Args:
            out: URL of the folder.
            point: values of some settings.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be searched")

    def shared(self) -> "Training":
        """Return this training with its data in Ray's object store, for many variants."""
        return self

    def prepare(self) -> int:
        """Prepare the data for the workers; an exit code other than 0 ends the training."""
        return 0

    @abc.abstractmethod
    def summary(self) -> str:
        """Data and classes in one line, for the log."""

    @abc.abstractmethod
    def line(self, rows: Sequence[Row]) -> str:
        """Log line of the last row."""

    @abc.abstractmethod
    def finish(self, state: State, seconds: float) -> Report:
        """Write the model file; return the report.

        Args:
            state: state at the end of the training.
            seconds: duration of the training, including preparation.
        """

    @abc.abstractmethod
    def verdict(self, report: Report) -> str:
        """Outcome in one line."""


def train(training: Training) -> int:
    """Run or resume a training; return the exit code.

    Raises:
        UsageError: the flags or files are invalid, the data are unusable, or the loss is not finite.
    """
    run, options = training.run, training.options
    if (report := run.report()) is not None:
        run.drop_states()  # the run may have been killed before removing them
        log.info("%s is already finished: %s", options.out, training.verdict(report))
        return exit_code(report, allow_untrained=options.allow_untrained)
    with run.locked():
        new = run.begin(training.made_by)
        try:
            return _train(training)
        except UsageError:
            if new:
                run.forget()
            raise


def _train(training: Training) -> int:
    started_s, options = time.monotonic(), training.options
    placement = place_training(options.workers, options.gpu, most_cpus=training.most_cpus)
    if code := training.prepare():
        return code
    log.info("%s; %s", training.summary(), placement)
    report = fit_and_finish(training, placement, started_s)
    log.info("%s, %.0f s: %s", training.verdict(report), report["seconds"], options.out)
    return exit_code(report, allow_untrained=options.allow_untrained)


def fit_and_finish(
    training: Training, placement: WorkerPlacement, started_s: float, callbacks: Sequence[UserCallback] = ()
) -> Report:
    """Train on Ray Train, then write the model file and the report.

    Args:
        training: prepared training.
        placement: workers and their resources.
        started_s: monotonic time at which the training started.
        callbacks: callbacks of Ray Train.
    """
    fit(
        *(train_worker, {"job": training.job, "learner": training.learner}, training.run, placement),
        unit=training.unit,
        total=training.total,
        line=training.line,
        large=training.large,
        callbacks=callbacks,
    )
    return finished(training, State.of(last_state(training.run)), time.monotonic() - started_s)


def finished(training: Training, state: State, seconds: float) -> Report:
    """Write the metrics, the model file and the report of a training that has ended."""
    training.run.write_metrics(state.record["rows"])
    report = {**training.finish(state, seconds), "seconds": round(seconds, 1)}
    training.run.finish(report)
    return report


def exit_code(report: Mapping[str, Any], *, allow_untrained: bool) -> int:
    """Return the exit code of a finished training; warn if the model is untrained.

    Args:
        report: report of the training; its `untrained`, missing in older reports, lists the reasons.
        allow_untrained: value of `--allow-untrained`.
    """
    reasons = report.get(UNTRAINED) or []
    for reason in reasons:
        log.warning("untrained: %s", reason)
    return EXIT_UNTRAINED if reasons and not allow_untrained else 0
