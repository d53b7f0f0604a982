"""Trial of a search: a training with the trial's settings, on data in Ray's object store.

A trial of one worker trains in its own process, a trial of several workers with Ray Train. In both cases, its folder
has the same files as that of a single training, and a trial that was killed resumes from its last checkpoint.
"""

import contextlib
import dataclasses
import os
import time
from typing import Any

import torch
from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback

from attn.engine.placement import cluster_totals, living_nodes
from attn.engine.train.driver import Training, finished, fit_and_finish
from attn.engine.train.worker_placement import place_workers
from attn.engine.tune.searcher import AGAIN, DAMAGED, DIVERGED, ENDED, REFUSED
from attn.errors import UsageError
from attn.training.checkpoints import AllDamagedError, CheckpointFolder
from attn.training.diverged import DivergedError
from attn.training.energynet_rows import KEPT_SHORTFALL, SHORTFALL
from attn.training.events import EventFile
from attn.training.group import Group
from attn.training.loop import TrainingLoop
from attn.training.run import TrainRun
from attn.training.status import Row
from attn.training.storage import check_storage
from attn.training.trial_records import OBJECTIVE, trial_url
from attn.training.validated_rows import ACCURACY, MAP

STOPPING_S = 300


@dataclasses.dataclass(frozen=True)
class TrialSetup:
    """Inputs shared by all trials of a search.

    Attributes:
        out: URL of the search.
        training: training with the settings that are not searched; its data are in the object store.
        gpus: GPUs per trial of one worker.
    """

    out: str
    training: Training
    gpus: float


def run_trial(config: dict[str, Any], setup: TrialSetup) -> None:
    """Train one trial and report its validations: Ray Tune's trainable.

    Args:
        config: `number` and `point` of the trial.
        setup: inputs shared by all trials.
    """
    # A stopped trial may still be writing; with this timeout, Ray waits before it reuses the process.
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = str(STOPPING_S)
    url = trial_url(setup.out, config["number"])
    training = setup.training.variant(url, config["point"])
    run, options = training.run, training.options
    try:
        check_storage(url)
        report = run.report()
        if report is None:
            run.begin({"options": dataclasses.asdict(options)})
            _drop_damaged(run)
            row = (_on_ray_train if options.workers > 1 else _in_this_process)(training, setup)
        else:  # the trial had finished, but the search was killed before recording it
            for row in run.metrics():
                tune.report(row | {AGAIN: True})
            row = _end_of(report)
    except DivergedError as error:
        row = {OBJECTIVE: 0.0, DIVERGED: str(error)}
    except UsageError as error:
        row = {OBJECTIVE: 0.0, REFUSED: str(error)}
    tune.report(row | {ENDED: True})


def _end_of(report: dict[str, Any]) -> Row:
    """Last row of a finished training, from its report: its metrics may be lost."""
    figure = report.get(ACCURACY)
    row = {"update": report["updates"], OBJECTIVE: report.get(MAP, 0.0) if figure is None else figure}
    return row | {KEPT_SHORTFALL: report[SHORTFALL]} if SHORTFALL in report else row


def _drop_damaged(run: TrainRun) -> None:
    """Delete the checkpoints if all are damaged, so that the trial restarts without manual repair."""
    checkpoints = CheckpointFolder(run.states)
    try:
        checkpoints.newest()
    except AllDamagedError:
        run.drop_states()
        tune.report({OBJECTIVE: 0.0, DAMAGED: f"{'; '.join(checkpoints.damaged)}; the trial restarts from scratch"})


class _Teller:
    """Write each validation to the metrics of the trial and report it to Ray Tune, in place of a `StatusWriter`."""

    def __init__(self, run: TrainRun, events: EventFile):
        self._run, self._events = run, events
        self._told, self._before = 0, len(run.metrics())
        self._damaged: dict[str, str] = {}

    def note(self, text: str) -> None:
        """Ignore notes about progress: the search does not show those of single trials."""

    def update(self, **changes: Any) -> None:
        """Write and report new validations.

        After resuming, all earlier validations are reported again, because Ray Tune may not have saved them.
        """
        rows = changes.get("rows", [])
        if changes.get("damaged"):
            self._damaged = {DAMAGED: f"{'; '.join(changes['damaged'])}; resuming from an older checkpoint"}
        if len(rows) <= self._told:
            return
        self._run.write_metrics(rows)
        for row in rows[max(self._told, self._before) :]:
            self._events.add(row, step=row["update"])
        for row in rows[self._told :]:
            self._told += 1
            again = {AGAIN: True} if self._told <= self._before else {}
            tune.report(row | again | self._damaged)
            self._damaged = {}


def _in_this_process(training: Training, setup: TrialSetup) -> Row:
    """Train a trial of one worker to the end, and return its last row of metrics.

    Raises:
        UsageError: the training cannot continue.
    """
    started_s, run = time.monotonic(), training.run
    device = torch.device("cuda" if setup.gpus and torch.cuda.is_available() else "cpu")
    if training.most_cpus is not None:
        torch.set_num_threads(training.most_cpus)
    with contextlib.closing(EventFile(run.url)) as events:
        teller = _Teller(run, events)
        group, shares = Group.alone(device), {"gpus": setup.gpus}
        with training.learner(training.job, group, teller, **training.large, **shares) as learner:
            if isinstance(learner, UsageError):
                raise learner
            loop = TrainingLoop(learner, teller, CheckpointFolder(run.states), run_url=training.job.run_url)
            why = loop.run()
            if why is not None:
                raise why
            state = learner.state(loop.rows)
    finished(training, state, time.monotonic() - started_s)
    return loop.rows[-1]


def _on_ray_train(training: Training, setup: TrialSetup) -> Row:
    """Train a trial of several workers to the end, and return its last row of metrics."""
    started_s, options = time.monotonic(), training.options
    placement = place_workers(
        options.workers, options.gpu, cluster_totals(), living_nodes(), most_cpus=training.most_cpus
    )
    fit_and_finish(training, placement, started_s, [TuneReportCallback()])
    return training.run.metrics()[-1]
