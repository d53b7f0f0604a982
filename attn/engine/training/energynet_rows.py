"""Rows of metrics of an EnergyNet's training: one per validation, and which of them is best."""

import dataclasses
from typing import Any

ACCURACY, SHORTFALL, SPREAD = "validation_accuracy", "validation_shortfall", "embedding_spread"
KEPT_ACCURACY, KEPT_SHORTFALL = "kept_accuracy", "kept_shortfall"
"""Accuracy and shortfall of the best validation."""


@dataclasses.dataclass
class Progress:
    """Progress of a training.

    Attributes:
        rows: metrics of every validation.
        schedule: state of the schedule of candidates.
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
        """Validation before the first update, if there was one."""
        return self.rows[0] if self.rows and self.rows[0]["update"] == 0 else None

    @property
    def beats_start(self) -> bool:
        """Whether the last validation is better than the start, or is the start, or there was none.

        Better means correct for more videos, or for as many with margins that are violated less.
        """
        start, last = self.start, self.rows[-1]
        if start is None or len(self.rows) == 1:
            return True
        return (last[ACCURACY], -last[SHORTFALL]) > (start[ACCURACY], -start[SHORTFALL])

    @property
    def kept_row(self) -> dict[str, Any]:
        """Row of the best validation; the last row without held-out videos."""
        return self.rows[(self.kept or len(self.rows)) - 1]
