"""Training loop of one worker, the same for every model: resume, train, validate, save a checkpoint, until the end."""

import time
from collections.abc import Sequence
from typing import Any, Protocol

from attn.engine.training.checkpoints import Checkpoints
from attn.engine.training.diverged import DivergedError
from attn.engine.training.state import State
from attn.engine.training.status import Row
from attn.errors import UsageError


class Learner(Protocol):
    """A model in training on one worker of a group; every worker of the group makes the same decisions.

    Attributes:
        unit: `epoch` or `update`, the column of a row that counts its steps.
        lr_flags: flags that make the steps smaller, for a message.
    """

    unit: str
    lr_flags: str

    def prepare(self) -> None:
        """Get ready for the first step; not called if a checkpoint is restored."""
        ...

    def start_row(self) -> Row | None:
        """Validate the state before the first step; None if it must not be kept."""
        ...

    def next_row(self, rows: Sequence[Row]) -> Row:
        """Train up to the next validation, and validate.

        Raises:
            DivergedError: loss or weights are not finite.
        """
        ...

    def is_over(self, rows: Sequence[Row]) -> bool:
        """Whether no further row is needed."""
        ...

    def judge(self, rows: Sequence[Row]) -> None:
        """Keep the current weights if the last row is the best one."""
        ...

    def state(self, rows: Sequence[Row]) -> State:
        """State after the last row."""
        ...

    def restore(self, state: State) -> None:
        """Resume from a state.

        Raises:
            UsageError: its data are not available any more.
        """
        ...


class Progress(Protocol):
    """Receiver of a worker's progress, see `attn.engine.training.status.StatusWriter`."""

    def note(self, text: str) -> None:
        """Report the current activity; may be called at every step."""
        ...

    def update(self, **changes: Any) -> None:
        """Report fields of `attn.engine.training.status.Status`."""
        ...


class TrainingLoop:
    """Loop of one worker.

    Args:
        learner: model, data and optimizer.
        progress: receiver of rows.
        checkpoints: checkpoints.
        run_url: URL of the run folder, for messages.

    Attributes:
        rows: metrics, one row per validation.
    """

    def __init__(self, learner: Learner, progress: Progress, checkpoints: Checkpoints, *, run_url: str):
        self.learner, self.checkpoints = learner, checkpoints
        self._progress, self._run_url = progress, run_url
        self.rows: list[Row] = []

    def run(self) -> UsageError | None:
        """Train to the end; return the reason if it stopped before. Checkpoints remain."""
        try:
            self._resume()
            if not self.rows and (row := self.learner.start_row()) is not None:
                self._add(row)
            while not self.learner.is_over(self.rows):
                self._add(self.learner.next_row(self.rows))
        except DivergedError as error:
            kept = f"{self.learner.unit} {self.reached}" if self.reached else ""
            return error.explained(flags=self.learner.lr_flags, run_url=self._run_url, kept=kept)
        except UsageError as error:
            return error
        return None

    @property
    def reached(self) -> int:
        """Number of the last epoch or update."""
        return self.rows[-1][self.learner.unit] if self.rows else 0

    def _add(self, row: Row) -> None:
        """Judge, save and report the state after a row; the start needs no checkpoint."""
        self.rows = [*self.rows, row]
        self.learner.judge(self.rows)
        if self.reached:
            self.checkpoints.save(self.reached, row, lambda: self.learner.state(self.rows).files())
        self._progress.update(rows=self.rows, note="")

    def _resume(self) -> None:
        files = self.checkpoints.restore()
        if files is None:
            self.learner.prepare()
        else:
            state = State.of(files)
            self.learner.restore(state)
            self.rows = state.record["rows"]
        damaged = tuple(self.checkpoints.damaged)
        self._progress.update(started_s=time.time(), resumed=len(self.rows), rows=self.rows, note="", damaged=damaged)
