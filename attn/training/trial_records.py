"""Records of a search: one folder per trial with its settings and result in `trial.json`.

A search resumes from these records only. Each is a plain file that is written atomically, on a disk or on S3. A trial's
folder also holds the files of a single training.
"""

import dataclasses
import json
from typing import Any, Literal

from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.listing import names_in
from attn.storage.location import Location
from attn.training.energynet_rows import KEPT_ACCURACY

TRIALS, RECORD = "trials", "trial.json"
Status = Literal["running", "finished", "stopped", "diverged", "failed"]
OVER = ("finished", "stopped", "diverged")
"""Statuses of completed trials, which are not run again."""
OBJECTIVE = KEPT_ACCURACY
"""Column of a trial's rows: best accuracy, or mAP, of the validations so far."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One configuration and its result.

    Attributes:
        number: number of the trial, from 1.
        drawn: values drawn by the sampler.
        point: settings that the trial trains with: the drawn values, adjusted so that they are valid together.
        status: finished: trained to the end. stopped: stopped early by the scheduler. diverged: its loss or weights
            became NaN or infinite; not retried, and never the best. failed: no result; `--resume` retries it.
        objective: accuracy or mAP of the best checkpoint on the held-out videos, 0–1.
        shortfall: amount by which the energies of an EnergyNet's best checkpoint miss the margin.
        rows: one row per validation: `update`, the objective up to then, and `seconds`.
        seconds: training time of all attempts.
        error: reason why the trial diverged or failed.
    """

    number: int
    drawn: dict[str, Any]
    point: dict[str, Any]
    status: Status = "running"
    objective: float | None = None
    shortfall: float | None = None
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    error: str = ""

    @property
    def update(self) -> int:
        """Number of updates trained so far."""
        return self.rows[-1]["update"] if self.rows else 0


def trial_url(out: str, number: int) -> str:
    """URL of a trial's folder."""
    return join(out, TRIALS, f"{number:04d}")


def write_trial(out: str, trial: Trial) -> None:
    """Write or replace a trial's record."""
    text = json.dumps(dataclasses.asdict(trial), indent=1, ensure_ascii=False)
    (Location.at(trial_url(out, trial.number)) / RECORD).write_atomic(text.encode())


def read_trials(out: str) -> list[Trial]:
    """Return all trials of a search, by number; folders without a record are skipped.

    Raises:
        UsageError: a record is damaged, or the storage cannot be read.
    """
    folder = Location.at(out) / TRIALS
    with folder.errors():
        names = sorted(names_in(folder)) if folder.exists() else []
    return [trial for name in names if (trial := _read(folder / name)) is not None]


def _read(folder: Location) -> Trial | None:
    record = folder / RECORD
    if not record.exists():
        return None
    try:
        return Trial(**json.loads(record.read_text()))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{record}: damaged ({error}). Remove {folder} to run the trial again.") from error
