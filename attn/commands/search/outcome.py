"""Results of a search: the best configuration, tables of the trials and plots of the settings' importance."""

import contextlib
import dataclasses
import json
import logging
import math
from collections.abc import Sequence
from typing import Any

import optuna

from attn.commands.search.ranked import best_first, trial_row
from attn.commands.search.search_plan import SearchPlan
from attn.engine.tune.searcher import distribution, told
from attn.report.search_page import SearchFigures, as_csv, as_markdown, draw, figure_shown
from attn.settings import settings_type
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.storage.store_manifest import made_by
from attn.training.recipe import WithRecipe, contradiction
from attn.training.trial_records import OBJECTIVE, Trial, trial_url

log = logging.getLogger(__name__)

BEST, TRIALS, PAGE = "best.json", "trials.csv", "search.md"
# With fewer trials a random forest is too noisy to rank settings.
FEWEST_FOR_IMPORTANCE = 8
# Settings that best.json leaves out: each training sets its own.
NOT_FOUND = ("seed", "holdout_fraction")
PACKAGES = ("ray", "torch", "optuna")


def write_outcome(plan: SearchPlan, trials: Sequence[Trial]) -> None:
    """Write `best.json`, `trials.csv`, `search.md` and the plots that have data.

    Args:
        plan: plan of the search.
        trials: completed trials, at least one of which did not diverge.
    """
    ranked, options, videos = best_first(trials), plan.options, plan.held_out
    best, kind = ranked[0], settings_type(options)
    accuracy, settings = best.objective or 0.0, dataclasses.replace(options, **options.settle(best.point))
    # A search that began before recipes were introduced may have found settings that contradict its recipe.
    contradicts = isinstance(settings, WithRecipe) and contradiction(settings)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    not_found = {*NOT_FOUND, *(["recipe"] if contradicts else [])}
    shares, budget = importance(plan, trials)
    found: dict[str, Any] = {
        kind.NAME: {name: getattr(settings, name) for name in names if name not in not_found},
        "model": kind.NAME,
        "trial": best.number,
        "validation_accuracy": accuracy,  # mAP if videos may have several classes
        "standard_error": None if plan.several else math.sqrt(accuracy * (1 - accuracy) / videos),
        "held_out_videos": videos,
        "trials": len(trials),
        "stopped_early": sum(trial.status == "stopped" for trial in trials),
        "diverged": sum(trial.status == "diverged" for trial in trials),
        "store": options.store,
        "fingerprint": plan.fingerprint,
        "importance": {"shares": shares, "updates": budget},
        **made_by(PACKAGES),
    }
    seconds = sum(trial.seconds for trial in trials)
    figures = SearchFigures([trial_row(trial) for trial in ranked], list(plan.space), shares, budget, found, seconds)
    texts = {
        BEST: json.dumps(found, indent=1, ensure_ascii=False),
        TRIALS: as_csv(figures),
        PAGE: as_markdown(figures),
    }
    for name, text in texts.items():
        _write(options.out, name, text.encode())
    for name, picture in draw(figures).items():
        _write(options.out, f"{name}.png", picture)
    log.info(
        "best of %d trials: %s on %d videos (trial %d, %s); settings in %s",
        *(len(trials), figure_shown(found), videos),
        *(best.number, trial_url(options.out, best.number), join(options.out, BEST)),
    )


def importance(plan: SearchPlan, trials: Sequence[Trial]) -> tuple[dict[str, float], int]:
    """Return each setting's share of the variance between trials, and the number of updates it was measured at.

    The shares sum to 1; there are none if there are too few trials. All trials are compared at the number of updates of
    the shortest one. Otherwise, trials that were stopped early would count as bad only because they were short.

    Source: Hutter et al. 2014, functional analysis of variance, as optuna computes it.
    """
    sound = [trial for trial in trials if trial.rows and not trial.error]
    budget = min((trial.update for trial in sound), default=0)
    reached = {trial.number: _accuracy_after(trial, budget) for trial in sound}
    if len(sound) < FEWEST_FOR_IMPORTANCE or len(set(reached.values())) < 2:
        return {}, budget
    distributions = {name: distribution(name, domain, plan.options) for name, domain in plan.space.items()}
    study = optuna.create_study(direction="maximize")
    for trial in sound:
        frozen = told(trial, distributions)
        frozen.state, frozen.value = optuna.trial.TrialState.COMPLETE, reached[trial.number]
        study.add_trial(frozen)
    with contextlib.suppress(RuntimeError, ValueError):  # every setting has the same value in all trials
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
        return {name: float(share) for name, share in shares.items()}, budget
    return {}, budget


def _accuracy_after(trial: Trial, updates: int) -> float:
    return float([row[OBJECTIVE] for row in trial.rows if row["update"] <= updates][-1])


def _write(out: str, name: str, data: bytes) -> None:
    (Location.at(out) / name).write_atomic(data)
