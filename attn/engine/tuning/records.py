"""One folder per trial of a search, and in it `trial.json`: what was tried and what came of it.

The records are all that a search needs to go on after a kill: plain files, written whole or not at all, wherever the
search is kept. Beside it a trial's folder holds what `train_energynet` leaves there.
"""

import dataclasses
import json
from typing import Any, Literal

from attn.errors import UsageError
from attn.storage.filesystem import join, open_filesystem, read_text, storage_errors, write_atomic
from attn.storage.listing import names_in

TRIALS, RECORD = "trials", "trial.json"
Status = Literal["running", "finished", "stopped", "diverged", "failed"]
OVER = ("finished", "stopped", "diverged")
"""Of a trial that is not tried again."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One configuration and what came of it.

    Attributes:
        number: from 1.
        drawn: the sampler's values.
        point: the settings that are trained with them: K_h ≤ M0 ≤ M1.
        status: finished: trained to its end. stopped: by the scheduler, for being behind. diverged: failed for good,
            since its loss or weights became NaN or infinite; never the best. failed: gave no result, and is tried again
            by `--resume`.
        objective: accuracy on the held-out videos, 0–1, of the state that is kept.
        shortfall: of the same state: by how much its energies miss the margin.
        rows: of its looks: `update` and the objective by then.
        seconds: spent on it, all attempts together.
        error: why it diverged or failed.
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
        """Updates that it was trained for."""
        return self.rows[-1]["update"] if self.rows else 0


def trial_url(out: str, number: int) -> str:
    """Folder of a trial."""
    return join(out, TRIALS, f"{number:04d}")


def write_trial(out: str, trial: Trial) -> None:
    """Writes or replaces the record."""
    text = json.dumps(dataclasses.asdict(trial), indent=1, ensure_ascii=False)
    write_atomic(*open_filesystem(join(trial_url(out, trial.number), RECORD)), text.encode())


def read_trials(out: str) -> list[Trial]:
    """The records of a search, in the order of their numbers; a folder without one was never begun.

    Raises:
        UsageError: one is damaged, or the storage cannot be read.
    """
    fs, path = open_filesystem(join(out, TRIALS))
    with storage_errors(out):
        names = sorted(names_in(fs, path)) if fs.exists(path) else []
    return [trial for name in names if (trial := _read(join(out, TRIALS, name))) is not None]


def _read(url: str) -> Trial | None:
    fs, path = open_filesystem(join(url, RECORD))
    with storage_errors(url):
        if not fs.exists(path):
            return None
    try:
        return Trial(**json.loads(read_text(fs, path)))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{join(url, RECORD)} is damaged ({error}); remove {url}: the trial is done again") from error
