"""The state of an EnergyNet's training after a look, as a few files.

`weights.safetensors` of now, `kept.safetensors` of the look that is kept where that is another, `optimizer.pt` (tensors
and numbers, read without unpickling more), `state.json`.
"""

import dataclasses
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from attn.mining.schedule import CandidateSchedule
from attn.stages.energy_training import EnergyTrainer

ACCURACY, SHORTFALL, SPREAD = "validation_accuracy", "validation_shortfall", "embedding_spread"
KEPT_ACCURACY, KEPT_SHORTFALL = "kept_accuracy", "kept_shortfall"
"""The same of the state that is kept."""
WEIGHTS, KEPT, OPTIMIZER, STATE = "weights.safetensors", "kept.safetensors", "optimizer.pt", "state.json"


@dataclasses.dataclass
class Progress:
    """How far a training is.

    Attributes:
        rows: metrics of every look.
        schedule: of the candidates.
        kept: number of the look whose weights are kept; None without held-out videos.
    """

    rows: list[dict[str, Any]]
    schedule: dict[str, Any] | None = None
    kept: int | None = None

    @property
    def accuracies(self) -> list[float]:
        """Of the looks, where there are held-out videos."""
        return [row[ACCURACY] for row in self.rows if row[ACCURACY] is not None]

    @property
    def start(self) -> dict[str, Any] | None:
        """The look before the first update, if there was one."""
        return self.rows[0] if self.rows and self.rows[0]["update"] == 0 else None

    @property
    def beats_start(self) -> bool:
        """Whether the last look is better than that before the first update, or is that one, or there was none.

        Better: right for more videos, or for as many with margins that are kept better.
        """
        start, last = self.start, self.rows[-1]
        if start is None or len(self.rows) == 1:
            return True
        return (last[ACCURACY], -last[SHORTFALL]) > (start[ACCURACY], -start[SHORTFALL])

    @property
    def kept_row(self) -> dict[str, Any]:
        """The look whose weights are kept; the last one where no video is held out."""
        return self.rows[(self.kept or len(self.rows)) - 1]


def save_state(trainer: EnergyTrainer, kept: dict[str, Tensor], progress: Progress) -> Iterator[tuple[str, bytes]]:
    """The files.

    Args:
        trainer: whose network, optimiser and schedule are saved.
        kept: weights that are kept; none where those of now are.
        progress: of the training.
    """
    yield WEIGHTS, safetensors.torch.save(plain(trainer.net.state_dict()))
    if kept:
        yield KEPT, safetensors.torch.save(kept)
    optimizer = io.BytesIO()
    torch.save(trainer.optimizer.state_dict(), optimizer)
    yield OPTIMIZER, optimizer.getvalue()
    state = dataclasses.replace(progress, schedule=trainer.schedule.state())
    yield STATE, json.dumps(dataclasses.asdict(state)).encode()


def load_state(files: Mapping[str, bytes], trainer: EnergyTrainer) -> tuple[Progress, dict[str, Tensor]]:
    """Puts a saved state back into a trainer; the progress, and the weights that are kept."""
    trainer.net.load_state_dict(safetensors.torch.load(files[WEIGHTS]))
    optimizer = torch.load(io.BytesIO(files[OPTIMIZER]), map_location="cpu", weights_only=True)
    trainer.optimizer.load_state_dict(optimizer)
    kept, progress = load_kept(files)
    trainer.schedule = CandidateSchedule(**(progress.schedule or {}))
    return progress, kept if progress.kept else {}


def load_kept(files: Mapping[str, bytes]) -> tuple[dict[str, Tensor], Progress]:
    """The weights that a training kept, and its progress."""
    return safetensors.torch.load(files.get(KEPT, files[WEIGHTS])), Progress(**json.loads(files[STATE]))


def plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that later updates leave alone."""
    return {name: value.detach().cpu().clone() for name, value in tensors.items()}
