"""Rows of metrics of an EnergyNet's training, one per validation: columns and best row."""

import dataclasses
from typing import Any

ACCURACY, SHORTFALL, SPREAD = "validation_accuracy", "validation_shortfall", "embedding_spread"
KEPT_ACCURACY, KEPT_SHORTFALL = "kept_accuracy", "kept_shortfall"
"""Accuracy and shortfall of the best validation."""


@dataclasses.dataclass
class Progress:
    """Progress of a training.

    Attributes:
        rows: metrics of all validations.
        schedule: state of the candidate schedule.
        kept: number of the best validation, counted from 1; None without held-out videos.
    """

    rows: list[dict[str, Any]]
    schedule: dict[str, Any] | None = None
    kept: int | None = None

    @property
    def accuracies(self) -> list[float]:
        """Accuracies of the validations; empty without held-out videos."""
        return [row[ACCURACY] for row in self.rows if row[ACCURACY] is not None]

    @property
    def start(self) -> dict[str, Any] | None:
        """Row of the validation before the first update; None without one."""
        return self.rows[0] if self.rows and self.rows[0]["update"] == 0 else None

    @property
    def beats_start(self) -> bool:
        """Whether the last validation is better than that of the initial weights; True if there is nothing to compare.

        Better means a higher accuracy, or the same accuracy and a smaller shortfall.
        """
        start, last = self.start, self.rows[-1]
        if start is None or len(self.rows) == 1:
            return True
        return (last[ACCURACY], -last[SHORTFALL]) > (start[ACCURACY], -start[SHORTFALL])

    @property
    def kept_row(self) -> dict[str, Any]:
        """Row of the best validation; the last row without held-out videos."""
        return self.rows[(self.kept or len(self.rows)) - 1]
