"""Driver of a training, the same for every model.

After any failure the same command resumes after the last checkpoint. A finished training is not repeated, and a folder
that holds another training is refused.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ray.train import UserCallback

from attn.engine.cli import EXIT_UNTRAINED
from attn.engine.training.fit import fit, last_state
from attn.engine.training.loop import Learner
from attn.engine.training.placement import WorkerPlacement, place_training
from attn.engine.training.run import TrainRun
from attn.engine.training.state import State
from attn.engine.training.status import Row
from attn.engine.training.worker import train_worker
from attn.errors import UsageError
from attn.stages.untrained import UNTRAINED

log = logging.getLogger(__name__)

Report = dict[str, Any]


class Training(Protocol):
    """One training: what a model adds to the driver.

    Attributes:
        run: run folder.
        options: command-line options; read here: `out`, `workers`, `gpu`, `allow_untrained`.
        job: everything a worker needs to know, as plain data with a `run_url`.
        learner: makes the learner of a worker, see `attn.engine.training.worker.train_worker`.
        large: further arguments of `learner`, which travel through Ray's object store.
        unit: `epoch` or `update`.
        total: number of the last one.
        most_cpus: upper bound of the CPUs of a worker; None for no bound.
        made_by: options and versions of packages, for the record.
    """

    run: TrainRun

    @property
    def options(self) -> Any: ...
    @property
    def job(self) -> Any: ...
    @property
    def learner(self) -> Callable[..., AbstractContextManager[Learner | UsageError]]: ...
    @property
    def large(self) -> Mapping[str, Any]: ...
    @property
    def unit(self) -> str: ...
    @property
    def total(self) -> int: ...
    @property
    def most_cpus(self) -> int | None: ...
    @property
    def made_by(self) -> dict[str, Any]: ...

    def prepare(self) -> int:
        """Make what the workers read; an exit code other than 0 ends the training."""
        ...

    def summary(self) -> str:
        """Data and classes in one line, for the log."""
        ...

    def line(self, rows: Sequence[Row]) -> str:
        """Log line of the last row."""
        ...

    def finish(self, state: State, seconds: float) -> Report:
        """Write the artefact; return its report.

        Args:
            state: last state.
            seconds: duration of the training, preparation included.
        """
        ...

    def verdict(self, report: Report) -> str:
        """Outcome in one line."""
        ...


def train(training: Training) -> int:
    """Run a training, or what is left of it; return the exit code.

    Raises:
        UsageError: before anything was written, or because data or learning rate are unusable.
    """
    run, options = training.run, training.options
    if (report := run.report()) is not None:
        run.drop_states()  # a kill may have come before
        log.info("%s is finished already: %s", options.out, training.verdict(report))
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
    """Train on Ray Train, then write artefact and report.

    Args:
        training: prepared training.
        placement: workers and their resources.
        started_s: monotonic time at which it started.
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
    """Write metrics, artefact and report of a training that is over."""
    training.run.write_metrics(state.record["rows"])
    report = {**training.finish(state, seconds), "seconds": round(seconds, 1)}
    training.run.finish(report)
    return report


def exit_code(report: Mapping[str, Any], *, allow_untrained: bool) -> int:
    """Exit code of a finished training; warn if it has learnt nothing.

    Args:
        report: report of the training; `untrained` lists the reasons, and older reports lack it.
        allow_untrained: value of `--allow-untrained`.
    """
    reasons = report.get(UNTRAINED) or []
    for reason in reasons:
        log.warning("untrained: %s", reason)
    return EXIT_UNTRAINED if reasons and not allow_untrained else 0
