"""Trials of a search from best to worst, and their records for tables and plots."""

from collections.abc import Sequence
from typing import Any

from attn.training.trial_records import OBJECTIVE, Trial


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Sort trials from best to worst: by status (finished, stopped, diverged), then by validation accuracy.

    Ties are broken by the shortfall relative to the energy margin, smallest first.
    """
    order = ("finished", "stopped", "diverged")

    def rank(trial: Trial) -> tuple[int, float, float, int]:
        short = float("inf") if trial.shortfall is None else trial.shortfall
        margin = trial.point.get("energy_margin", 1.0)
        return order.index(trial.status), -(trial.objective or 0), short / margin, trial.number

    return sorted(trials, key=rank)


def trial_row(trial: Trial) -> dict[str, Any]:
    """Return the record of a trial, as `attn.report.search_page.SearchFigures` takes it."""
    return {
        "trial": trial.number,
        "status": trial.status,
        "validation_accuracy": trial.objective,
        "update": trial.update,
        "seconds": round(trial.seconds, 1),
        **trial.point,
        "rows": [(row["update"], row[OBJECTIVE]) for row in trial.rows],
    }
