"""Schedule of the number of candidates: few at first, so that the hardest are only semi-hard, then more."""

import dataclasses
from typing import Any


@dataclasses.dataclass
class CandidateSchedule:
    """M0 candidates until the loss of random samples falls below a threshold, then M1 for the rest of the training.

        monitor ← s · monitor + (1 − s) · loss, from the first loss on

    The monitor follows random samples rather than mined ones, because mined samples are chosen for their high loss.

    Attributes:
        initial: initial number of candidates, M0.
        final: final number of candidates, M1.
        threshold: threshold of the monitor, in units of the ranking loss.
        smoothing: smoothing factor s, from 0 to below 1.
        monitor: smoothed loss; None before the first update.
        switched_at: number of updates at the switch to M1; None before the switch.
        updates: number of updates so far.

    Source: Li et al. 2017, section 3.4.2.
    Differs: the paper says neither how the loss is smoothed nor the threshold.
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
        """Number of candidates of the next update, M."""
        return self.initial if self.switched_at is None else self.final

    def observe(self, loss: float) -> None:
        """Update the monitor with the mean ranking loss of an update's random samples."""
        self.updates += 1
        self.monitor = loss if self.monitor is None else self.smoothing * self.monitor + (1 - self.smoothing) * loss
        if self.switched_at is None and self.monitor < self.threshold:
            self.switched_at = self.updates

    def state(self) -> dict[str, Any]:
        """State for resuming a training, in JSON types."""
        return dataclasses.asdict(self)
