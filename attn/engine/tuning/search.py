"""Hyperparameter search for EnergyNets with Ray Tune: the driver.

Trials are scored on held-out training videos; test videos are never opened. After any failure, `--resume` keeps the
completed trials and continues the others from their last checkpoint.

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
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from attn.engine.cli import EXIT_INTERRUPTED
from attn.engine.placement import cluster_totals, living_nodes
from attn.engine.session import start_ray
from attn.engine.training.placement import place_workers
from attn.engine.training.shared_maps import share_maps
from attn.engine.tuning.outcome import write_outcome
from attn.engine.tuning.plan import SearchPlan, open_search
from attn.engine.tuning.records import OVER, Trial
from attn.engine.tuning.search_options import SearchOptions
from attn.engine.tuning.searcher import AGAIN, OBJECTIVE, RecordedSearcher
from attn.engine.tuning.space import Space
from attn.engine.tuning.trial import TrialSetup, run_trial
from attn.engine.tuning.watch import SearchWatch
from attn.errors import UsageError

log = logging.getLogger(__name__)

EXIT_FAILED_TRIALS = 1
MOST_FAILURES = 3
USUAL_GPUS_PER_TRIAL = 0.25
# Rungs are at 1/16 and 1/4 of all updates; a quarter of the trials continues at each.
RUNGS_FACTOR = 4
FIRST_RUNG = 1 / 16


def search(options: SearchOptions, spaces: Mapping[str, Space]) -> int:
    """Run or resume a search and write `best.json`, tables and plots into `--out`.

    Args:
        options: flags.
        spaces: predefined spaces by name.

    Returns:
        The exit code.

    Raises:
        UsageError: the input is invalid, the trials do not fit on the cluster, or no trial can succeed.
    """
    with open_search(options, spaces) as plan:
        return _search(plan)


def _search(plan: SearchPlan) -> int:
    options = plan.options
    searcher = RecordedSearcher(
        *(options.out, plan.space, options),
        sampler=options.sampler,
        seed=options.seed,
        most=options.trials,
        known=plan.known,
    )
    left = searcher.total - sum(trial.status in OVER for trial in plan.known)
    if left > 0:
        start_ray()
        _run(plan, searcher, left)
    trials = [searcher.trials[number] for number in sorted(searcher.trials)]
    over = [trial for trial in trials if trial.status in OVER]
    sound = [trial for trial in over if trial.status != "diverged"]
    failed = [trial for trial in trials if trial.status == "failed"]
    if sound:
        write_outcome(plan, over)
    elif over:
        log.error("all %d trials diverged (%s), so best.json was not written", len(over), over[0].error)
    if failed:
        log.error("%d trials failed (%s). Retry them with --resume.", len(failed), failed[0].error)
    if len(over) + len(failed) < searcher.total:
        log.info("interrupted after %d of %d trials. Continue with --resume.", len(over), searcher.total)
        return EXIT_INTERRUPTED
    return EXIT_FAILED_TRIALS if failed or not sound else 0


def _run(plan: SearchPlan, searcher: RecordedSearcher, left: int) -> None:
    options = plan.options
    resources, most = _placed(options)
    side_by_side = min(options.side_by_side or most, most, left)
    log.info(
        "%s: %d training videos (%d frames), %d held out; %d trials, %d of them done, %d in parallel",
        *(options.store, len(plan.job.train.video_ids), plan.job.train.rows, len(plan.job.held_out.video_ids)),
        *(searcher.total, searcher.total - left, side_by_side),
    )
    maps = share_maps(plan.job)
    setup = TrialSetup(options.out, plan.run, plan.job, plan.store.manifest, maps, resources.get("GPU", 0.0))
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
                scheduler=make_scheduler(options, plan.known),
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


def _placed(options: SearchOptions) -> tuple[dict[str, float], int]:
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


def make_scheduler(options: SearchOptions, known: list[Trial]) -> TrialScheduler:
    """Make the scheduler: asynchronous successive halving (ASHA) by number of updates, if trials may be stopped early.

    A trial continues past a rung only if it is among the best quarter of the trials that have reached the rung,
    including those of earlier runs. Trials of several workers are never stopped early: Ray Train's placement group
    outlives a stopped trial and withholds its CPUs and GPUs from the next one.

    Args:
        options: flags.
        known: trials of earlier runs of this search.

    Source: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning".
    """
    if options.scheduler == "none" or options.workers > 1:
        return FIFOScheduler()
    looks = max(1, math.ceil(options.updates * FIRST_RUNG / options.look_every))
    grace = looks * options.look_every
    if grace >= options.updates:
        return FIFOScheduler()
    asha = _JudgedOnce(
        time_attr="update",
        metric=OBJECTIVE,
        mode="max",
        max_t=min(grace * RUNGS_FACTOR**2, options.updates) - 1,  # past the last rung, trials run to their end
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
