"""How many candidates are drawn: few at first, so that the hardest of them are only semi-hard, then more."""

import dataclasses
from typing import Any


@dataclasses.dataclass
class CandidateSchedule:
    """M0 candidates, until the loss of random samples has fallen below a threshold; then M1, for good.

        monitor ← s · monitor + (1 − s) · loss, from the first loss on

    Random samples are watched, not the mined ones, whose loss is high because they were chosen for it.

    Attributes:
        initial: M0.
        final: M1.
        threshold: of the monitor, in units of the ranking loss.
        smoothing: s, 0 to below 1.
        monitor: smoothed loss; None before the first.
        switched_at: number of updates seen when M1 was reached; None before.
        updates: seen so far.

    Source: Li et al. 2017, section 3.4.2. Differs: the paper says neither how the loss is smoothed nor the threshold.
    """

    initial: int
    final: int
    threshold: float
    smoothing: float = 0.98
    monitor: float | None = None
    switched_at: int | None = None
    updates: int = 0

    @property
    def candidates(self) -> int:
        """M of the coming update."""
        return self.initial if self.switched_at is None else self.final

    def observe(self, loss: float) -> None:
        """Takes in the mean ranking loss of an update's random samples."""
        self.updates += 1
        self.monitor = loss if self.monitor is None else self.smoothing * self.monitor + (1 - self.smoothing) * loss
        if self.switched_at is None and self.monitor < self.threshold:
            self.switched_at = self.updates

    def state(self) -> dict[str, Any]:
        """What a resumed training needs, in JSON types."""
        return dataclasses.asdict(self)
