"""Trials of a search on Ray Tune: resources, early stopping, and the run of all trials.

Ray Tune's `Tuner.restore` is not used: it unpickles a searcher state that may be older than the trials. The search
resumes from the trials' own records instead (docs/ray.md).
"""

import contextlib
import logging
import math
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from attn.engine.placement import cluster_totals, living_nodes
from attn.engine.train.driver import Training
from attn.engine.train.worker_placement import place_workers
from attn.engine.tune.search_watch import SearchWatch
from attn.engine.tune.searcher import AGAIN, RecordedSearcher
from attn.engine.tune.trial import TrialSetup, run_trial
from attn.errors import UsageError
from attn.training.search_options import AnySearchOptions
from attn.training.trial_records import OBJECTIVE, OVER, Trial

log = logging.getLogger(__name__)

MOST_FAILURES = 3
USUAL_GPUS_PER_TRIAL = 0.25
# Rungs are at 1/16 and 1/4 of all updates; a quarter of the trials continues at each.
RUNGS_FACTOR = 4
FIRST_RUNG = 1 / 16


def run_trials(
    training: Training, options: AnySearchOptions, searcher: RecordedSearcher, known: list[Trial], *, left: int
) -> None:
    """Run the trials of a search that are left.

    Args:
        training: training with the settings that are not searched.
        options: flags.
        searcher: searcher, which records the trials.
        known: trials of earlier runs of this search.
        left: number of trials to run.

    Raises:
        UsageError: a trial does not fit on the cluster, the data cannot be shared, or every trial would fail.
    """
    resources, most = _placed(options)
    side_by_side = min(options.side_by_side or most, most, left)
    log.info(
        "%s; %d trials, %d of them done, %d in parallel",
        *(training.summary(), searcher.total, searcher.total - left, side_by_side),
    )
    setup = TrialSetup(options.out, training.shared(), resources.get("GPU", 0.0))
    # Ray Tune's own log files and progress tables would only repeat the records.
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    trainable = tune.with_resources(tune.with_parameters(run_trial, setup=setup), resources)
    with tempfile.TemporaryDirectory(prefix="attn-search-") as scratch, _interrupt_as_before():
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=make_scheduler(options, known, training.total),
                num_samples=left,
                max_concurrent_trials=side_by_side,
                reuse_actors=options.workers == 1,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                failure_config=tune.FailureConfig(max_failures=MOST_FAILURES),
                callbacks=[SearchWatch(searcher)],
                stop=_Over(searcher),
                verbose=0,
            ),
        ).fit()
    if searcher.why_over is not None:
        raise searcher.why_over


class _Over(tune.Stopper):
    """Stops all trials as soon as the searcher has ended the search because of an error.

    Args:
        searcher: searcher whose `why_over` is checked.
    """

    def __init__(self, searcher: RecordedSearcher):
        self._searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self.stop_all()

    def stop_all(self) -> bool:
        return self._searcher.why_over is not None


@contextlib.contextmanager
def _interrupt_as_before() -> Iterator[None]:
    """Restore the handler of Ctrl-C afterwards: Ray Tune replaces it and would also swallow the next Ctrl-C."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _placed(options: AnySearchOptions) -> tuple[dict[str, float], int]:
    """Return the resources that Ray Tune reserves for a trial, and the number of trials that fit at once.

    Raises:
        UsageError: the cluster is too small for a single trial.
    """
    totals = cluster_totals()
    if options.workers > 1:  # Ray Train reserves for its workers, but Ray Tune does not accept an empty request
        placement = place_workers(options.workers, options.gpu, totals, living_nodes(), most_cpus=1)
        return {"memory": 1}, int(totals["GPU" if placement.gpu else "CPU"] // options.workers)
    gpus = options.gpus_per_trial
    if gpus is None:
        usual = USUAL_GPUS_PER_TRIAL if totals["GPU"] else 0.0
        gpus = {None: usual, True: 1.0, False: 0.0}[options.gpu]
    most = int(min(totals["CPU"], totals["GPU"] // gpus if gpus else math.inf))
    if most < 1:
        raise UsageError(
            f"a trial of 1 CPU and {gpus:g} GPU can never be placed: the cluster has {totals['CPU']:g} CPU and "
            f"{totals['GPU']:g} GPU. Give --gpus-per-trial 0 to use only CPUs."
        )
    return {"CPU": 1, **({"GPU": gpus} if gpus else {})}, most


class _JudgedOnce(ASHAScheduler):
    """ASHA that never stops a trial at a validation from before the trial was resumed.

    The trial passed that validation; it must not be stopped now because other trials have overtaken it since.
    """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        action = super().on_trial_result(tune_controller, trial, result)
        return TrialScheduler.CONTINUE if result.get(AGAIN) else action


def make_scheduler(options: AnySearchOptions, known: list[Trial], updates: int) -> TrialScheduler:
    """Make the scheduler: asynchronous successive halving (ASHA) by number of updates, if trials may be stopped early.

    A trial continues past a rung only if it is among the best quarter of the trials that have reached the rung,
    including those of earlier runs. Trials of several workers are never stopped early: Ray Train's placement group
    outlives a stopped trial and withholds its CPUs and GPUs from the next one.

    Args:
        options: flags.
        known: trials of earlier runs of this search.
        updates: number of updates of a trial.

    Source: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning".
    """
    if options.scheduler == "none" or options.workers > 1:
        return FIFOScheduler()
    looks = max(1, math.ceil(updates * FIRST_RUNG / options.look_every))
    grace = looks * options.look_every
    if grace >= updates:
        return FIFOScheduler()
    asha = _JudgedOnce(
        time_attr="update",
        metric=OBJECTIVE,
        mode="max",
        max_t=min(grace * RUNGS_FACTOR**2, updates) - 1,  # past the last rung, trials run to their end
        grace_period=grace,
        reduction_factor=RUNGS_FACTOR,
        stop_last_trials=False,
    )
    for trial in known:
        if trial.status in OVER:
            stub: Any = SimpleNamespace(trial_id=f"before-{trial.number}")
            asha.on_trial_add(None, stub)  # type: ignore[arg-type]
            for row in trial.rows:
                asha.on_trial_result(None, stub, row)  # type: ignore[arg-type]
    return asha
