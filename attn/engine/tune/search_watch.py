"""Progress of a search in the log: a line per completed trial, and a status line every few seconds."""

import logging
import time
from typing import Any

from ray.tune import Callback

from attn.durations import clock
from attn.engine.tune.searcher import DAMAGED, RecordedSearcher
from attn.training.trial_records import OVER, Trial

log = logging.getLogger(__name__)

SILENCE_S = 20.0


class SearchWatch(Callback):
    """Callback that logs the progress of a search in the driver.

    Args:
        searcher: searcher that holds the trials.
    """

    def __init__(self, searcher: RecordedSearcher):
        self._searcher = searcher
        self._told_s = self._started_s = time.monotonic()
        self._told = {trial.number for trial in _over(searcher)}
        self._before = len(self._told)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Log trials that have ended since the last call; log the status if nothing was logged for `SILENCE_S`."""
        fresh = [trial for trial in _over(self._searcher) if trial.number not in self._told]
        for trial in fresh:
            self._told.add(trial.number)
            self._say(trial_line(trial))
        if time.monotonic() - self._told_s >= SILENCE_S:
            self._say(self._progress())

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """Warn about damaged checkpoints that were found when a trial was resumed."""
        if result.get(DAMAGED):
            self._told_s = time.monotonic()
            log.warning("trial %d: %s", trial.config["number"], result[DAMAGED])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Log why a trial failed, even if Ray Tune retries it."""
        number, error = trial.config["number"], trial.get_pickled_error()
        self._say(f"trial {number}: {type(error).__name__}: {(str(error).strip().splitlines() or ['?'])[-1]}")

    def _say(self, text: str) -> None:
        self._told_s = time.monotonic()
        log.info("%s", text)

    def _progress(self) -> str:
        searcher, over = self._searcher, _over(self._searcher)
        best = max(
            (trial for trial in over if trial.status != "diverged"),
            key=lambda trial: trial.objective or 0,
            default=None,
        )
        shown = f"; best {best.objective or 0:.1%} (trial {best.number})" if best else ""
        running = [trial for trial in searcher.trials.values() if trial.status == "running"]
        now = ", ".join(f"{trial.number} at update {trial.update}" for trial in running) or "none"
        done, fresh = len(over), len(over) - self._before
        spent_s = time.monotonic() - self._started_s
        eta = f"; ETA {clock((searcher.total - done) * spent_s / fresh)}" if fresh else ""
        return f"{done} of {searcher.total} trials done{shown}; running {now}{eta}"


def _over(searcher: RecordedSearcher) -> list[Trial]:
    return [trial for trial in searcher.trials.values() if trial.status in (*OVER, "failed")]


def trial_line(trial: Trial) -> str:
    """Format the result of a trial as a log line."""
    point = ", ".join(f"{name} {_shown(value)}" for name, value in trial.point.items())
    if trial.status in ("failed", "diverged"):
        return f"trial {trial.number} {trial.status}: {trial.error} ({point})"
    end = f"{trial.status} after update {trial.update}"
    return f"trial {trial.number}: validation accuracy {trial.objective or 0:.1%}, {end} ({point})"


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
