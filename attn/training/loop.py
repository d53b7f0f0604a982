"""Training loop of one worker, the same for every model: resume, then train, validate and save checkpoints."""

import time
from collections.abc import Sequence
from typing import Any, Protocol

from attn.errors import UsageError
from attn.training.checkpoints import Checkpoints
from attn.training.diverged import DivergedError
from attn.training.state import State
from attn.training.status import Row


class Learner(Protocol):
    """A model in training on one worker of a group; every worker of the group makes the same decisions.

    Attributes:
        unit: `epoch` or `update`; also the column of a row that contains its number.
        lr_flags: flags that make the steps smaller, for an error message.
    """

    unit: str
    lr_flags: str

    def prepare(self) -> None:
        """Prepare for the first step; not called if a checkpoint is restored."""
        ...

    def start_row(self) -> Row | None:
        """Validate the initial weights; None if they are not a candidate for the model file."""
        ...

    def next_row(self, rows: Sequence[Row]) -> Row:
        """Train until the next validation, then validate.

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
        """Return the state after the last row."""
        ...

    def restore(self, state: State) -> None:
        """Restore a state.

        Raises:
            UsageError: data used before the restart are not available any more.
        """
        ...


class Progress(Protocol):
    """Receiver of a worker's progress, see `attn.training.status.StatusWriter`."""

    def note(self, text: str) -> None:
        """Report the current activity; cheap enough to call at every step."""
        ...

    def update(self, **changes: Any) -> None:
        """Replace fields of `attn.training.status.Status`."""
        ...


class TrainingLoop:
    """Training loop of one worker.

    Args:
        learner: model, data and optimizer.
        progress: receiver of rows.
        checkpoints: checkpoints of the training.
        run_url: URL of the run folder, for error messages.

    Attributes:
        rows: metrics, one row per validation.
    """

    def __init__(self, learner: Learner, progress: Progress, checkpoints: Checkpoints, *, run_url: str):
        self.learner, self.checkpoints = learner, checkpoints
        self._progress, self._run_url = progress, run_url
        self.rows: list[Row] = []

    def run(self) -> UsageError | None:
        """Train until the end; return the error if the training stopped early. Checkpoints are kept."""
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
        """Number of the last epoch or update; 0 before the first."""
        return self.rows[-1][self.learner.unit] if self.rows else 0

    def _add(self, row: Row) -> None:
        """Judge, save and report the state after a row; the initial weights need no checkpoint."""
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
