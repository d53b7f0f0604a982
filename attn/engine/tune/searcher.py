"""Ray Tune searcher that draws configurations with Optuna's samplers and saves each trial as a record.

Ray's own searchers pickle their state, which can be older than the trials. This one is rebuilt from the records: the
sampler gets the results of completed trials, and unfinished trials are resumed first.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from ray.tune.search import Searcher

from attn.errors import UsageError
from attn.settings import Settings
from attn.training.energynet_rows import KEPT_SHORTFALL
from attn.training.search_space import Choice, Range, Space, grid, usual_point
from attn.training.trial_records import OBJECTIVE, OVER, Trial, write_trial

ENDED, REFUSED, DIVERGED = "ended", "refused", "diverged"
"""Keys of a trial's last report: the trial was not stopped early; why it could not run; why it diverged."""
DAMAGED = "damaged"
"""Key of the first report after resuming: damaged checkpoints that were skipped."""
AGAIN = "again"
"""Key of a validation that was already reported before the trial was resumed."""

LOST = "its process was lost or failed too many times"

Sampler = Literal["tpe", "random", "grid"]


class RecordedSearcher(Searcher):
    """Searcher that writes a record when a trial starts or ends, and resumes from these records.

    Args:
        out: URL of the search.
        space: checked search space.
        base: settings that are not searched.
        sampler: tpe: tree-structured Parzen estimator, which draws more often near good settings. random:
            independent draws. grid: all combinations.
        seed: seed of the sampler.
        most: maximum number of trials, including those of earlier runs; a grid may have fewer.
        known: trials of earlier runs of this search.

    Attributes:
        trials: all trials by number, including those of earlier runs.
        total: number of trials after which the search is complete.
        why_over: error that ends the search early, because it would stop every other trial too; None if there is none.
    """

    def __init__(
        self,
        out: str,
        space: Space,
        base: Settings,
        *,
        sampler: Sampler,
        seed: int,
        most: int,
        known: Sequence[Trial],
    ):
        super().__init__(metric=OBJECTIVE, mode="max")
        self._out, self._space, self._base = out, space, base
        self.trials = {trial.number: trial for trial in known}
        self._begun = [trial for trial in known if trial.status not in OVER]
        points = grid(space, base) if sampler == "grid" else []
        self.total = min(most, len(points)) if sampler == "grid" else most
        self._fixed = dict(enumerate(points, 1)) if sampler == "grid" else {1: usual_point(space, base)}
        self._distributions = {name: distribution(name, domain, base) for name, domain in space.items()}
        self._study = self._new_study(sampler, seed + len(known))
        self._asked: dict[str, tuple[int, optuna.trial.Trial]] = {}
        self.why_over: UsageError | None = None

    def _new_study(self, sampler: Sampler, seed: int) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        random = optuna.samplers.RandomSampler(seed=seed)
        chosen = optuna.samplers.TPESampler(seed=seed, constant_liar=True) if sampler == "tpe" else random
        study = optuna.create_study(sampler=chosen, direction="maximize")
        for trial in self.trials.values():
            if trial.status in OVER:
                study.add_trial(told(trial, self._distributions))
        return study

    def suggest(self, trial_id: str) -> Any:
        """Return `number` and `point` of the next trial; `Searcher.FINISHED` after the last."""
        if self.why_over is not None:
            return Searcher.FINISHED
        if self._begun:
            trial = dataclasses.replace(self._begun.pop(0), status="running", error="")
            self._study.enqueue_trial(trial.drawn)
            asked = self._study.ask(self._distributions)
        elif len(self.trials) < self.total:
            number = next(number for number in range(1, self.total + 1) if number not in self.trials)
            if number in self._fixed:
                self._study.enqueue_trial(self._fixed[number])
            asked = self._study.ask(self._distributions)
            trial = Trial(number, dict(asked.params), self._base.settle(asked.params))
        else:
            return Searcher.FINISHED
        self._record(trial)
        self._asked[trial_id] = trial.number, asked
        return {"number": trial.number, "point": trial.point}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Add a validation to the trial."""
        if trial_id in self._asked:
            self._observe(self.trials[self._asked[trial_id][0]], result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Write the trial's record and report its result to the sampler."""
        if trial_id not in self._asked:  # already completed
            return
        number, asked = self._asked.pop(trial_id)
        trial = self.trials[number]
        if self.why_over is not None and not (result or {}).get(ENDED):
            return  # stopped because the search ended, not by the scheduler: the next run resumes the trial
        if result and not error:
            self._observe(trial, result)
        trial = dataclasses.replace(self.trials[number], **_end(result or {}, error))
        self._record(trial)
        if trial.status == "failed" and trial.error != LOST:
            self.why_over = self.why_over or UsageError(trial.error)
        for row in trial.rows:
            asked.report(row[OBJECTIVE], row["update"])
        if _state(trial) == optuna.trial.TrialState.COMPLETE:
            self._study.tell(asked, trial.objective)
        else:
            self._study.tell(asked, state=_state(trial))

    def _observe(self, trial: Trial, result: dict[str, Any]) -> None:
        if OBJECTIVE not in result or "update" not in result:
            return
        # After a worker was lost, some validations are reported twice.
        before = [row for row in trial.rows if row["update"] < result["update"]]
        rows = [*before, {name: result.get(name, 0.0) for name in ("update", OBJECTIVE, "seconds")}]
        self.trials[trial.number] = dataclasses.replace(
            trial,
            rows=rows,
            objective=result[OBJECTIVE],
            shortfall=result.get(KEPT_SHORTFALL, trial.shortfall),
            seconds=sum(row["seconds"] for row in rows),
        )

    def _record(self, trial: Trial) -> None:
        """Write the trial's record; if that fails, end the search, and the next run repeats the trial.

        The error is kept in `why_over` and not raised, because Ray Tune would count it as a failure of the trial.
        """
        self.trials[trial.number] = trial
        try:
            write_trial(self._out, trial)
        except UsageError as error:
            self.why_over = self.why_over or error

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the records hold the whole state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the constructor has read the records."""

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Ignore Ray Tune's metric and mode, which the constructor has set."""
        return True


def _end(result: dict[str, Any], error: bool) -> dict[str, Any]:
    """Fields of the record that follow from the trial's last report."""
    if error:
        return {"status": "failed", "error": LOST}
    if why := result.get(REFUSED):
        return {"status": "failed", "error": why}
    if why := result.get(DIVERGED):
        return {"status": "diverged", "objective": 0.0, "error": why}
    return {"status": "finished" if result.get(ENDED) else "stopped"}


def _state(trial: Trial) -> optuna.trial.TrialState:
    # The objective 0 of a diverged trial steers the sampler away from its settings.
    ends = {"finished": "COMPLETE", "diverged": "COMPLETE", "stopped": "PRUNED"}
    return optuna.trial.TrialState[ends.get(trial.status, "FAIL")]


def told(trial: Trial, distributions: dict[str, BaseDistribution]) -> optuna.trial.FrozenTrial:
    """Convert a completed trial to Optuna's type."""
    return optuna.trial.create_trial(
        state=_state(trial),
        value=trial.objective,
        params=trial.drawn,
        distributions=distributions,
        intermediate_values={row["update"]: row[OBJECTIVE] for row in trial.rows},
    )


def distribution(name: str, domain: Range | Choice, base: Settings) -> BaseDistribution:
    """Optuna's distribution of a setting; a setting without a default value is a number."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if isinstance(getattr(base, name), float | None):
        return FloatDistribution(domain.low, domain.high, log=domain.log)
    return IntDistribution(int(domain.low), int(domain.high), log=domain.log)
