"""The state of an EnergyNet's training after a look, in one folder.

`weights.safetensors` of now, `kept.safetensors` of the look that is kept, `optimizer.pt` (tensors and numbers, read
without unpickling more), `state.json`.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from attn.mining.schedule import CandidateSchedule
from attn.stages.energy_training import EnergyTrainer

ACCURACY, SHORTFALL = "validation_accuracy", "validation_shortfall"
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
    def kept_row(self) -> dict[str, Any]:
        """The look whose weights are kept; the last one where no video is held out."""
        return self.rows[(self.kept or len(self.rows)) - 1]


def save_state(folder: Path, trainer: EnergyTrainer, kept: dict[str, Tensor], progress: Progress) -> None:
    """Writes the four files.

    Args:
        folder: empty.
        trainer: whose network, optimiser and schedule are saved.
        kept: weights that are kept; none where those of now are.
        progress: of the training.
    """
    now = plain(trainer.net.state_dict())
    safetensors.torch.save_file(now, folder / WEIGHTS)
    safetensors.torch.save_file(kept or now, folder / KEPT)
    torch.save(trainer.optimizer.state_dict(), folder / OPTIMIZER)
    state = dataclasses.replace(progress, schedule=trainer.schedule.state())
    (folder / STATE).write_text(json.dumps(dataclasses.asdict(state)))


def load_state(folder: Path, trainer: EnergyTrainer) -> tuple[Progress, dict[str, Tensor]]:
    """Puts a saved state back into a trainer; the progress, and the weights that are kept."""
    trainer.net.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    optimizer = torch.load(folder / OPTIMIZER, map_location="cpu", weights_only=True)
    trainer.optimizer.load_state_dict(optimizer)
    kept, progress = load_kept(folder)
    trainer.schedule = CandidateSchedule(**(progress.schedule or {}))
    return progress, kept if progress.kept else {}


def load_kept(folder: Path) -> tuple[dict[str, Tensor], Progress]:
    """The weights that a training kept, and its progress."""
    return safetensors.torch.load_file(folder / KEPT), Progress(**json.loads((folder / STATE).read_text()))


def plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that later updates leave alone."""
    return {name: value.detach().cpu().clone() for name, value in tensors.items()}
