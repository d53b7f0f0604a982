"""Hyperparameter search with Ray Tune: the driver.

Trials are scored on held-out training videos; test videos are never opened. After any failure, `--resume` keeps the
completed trials and continues the others from their last checkpoint.
"""

import logging
from collections.abc import Mapping

from attn.commands.search.outcome import write_outcome
from attn.commands.search.search_plan import SearchPlan, open_search
from attn.engine.exit_codes import EXIT_INTERRUPTED
from attn.engine.session import start_ray
from attn.engine.tune.run_trials import run_trials
from attn.engine.tune.searcher import RecordedSearcher
from attn.training.search_options import AnySearchOptions
from attn.training.search_space import Space
from attn.training.trial_records import OVER

log = logging.getLogger(__name__)

EXIT_FAILED_TRIALS = 1


def search(options: AnySearchOptions, spaces: Mapping[str, Space]) -> int:
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
        run_trials(plan.training, options, searcher, plan.known, left=left)
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
