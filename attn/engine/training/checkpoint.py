"""The state of a training after an epoch, in one folder that Ray Train keeps.

`weights.safetensors` under torchvision's names, `optimizer.pt` (tensors and numbers, read without unpickling more),
`state.json`.
"""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from ray.train import Checkpoint
from torch.optim import Optimizer

from attn.models.backbone import Backbone

WEIGHTS, OPTIMIZER, STATE = "weights.safetensors", "optimizer.pt", "state.json"


def save_state(folder: Path, backbone: Backbone, optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Writes the three files.

    Args:
        folder: empty.
        backbone: on any device.
        optimizer: of its weights.
        state: in JSON types.
    """
    weights = {name: tensor.cpu().contiguous() for name, tensor in backbone.export_weights().items()}
    safetensors.torch.save_file(weights, folder / WEIGHTS)
    torch.save(optimizer.state_dict(), folder / OPTIMIZER)
    (folder / STATE).write_text(json.dumps(state, ensure_ascii=False))


def load_state(checkpoint: Checkpoint, backbone: Backbone, optimizer: Optimizer | None = None) -> dict[str, Any]:
    """Puts a saved epoch back into a network, and into its optimiser where there is one; the state beside them."""
    with checkpoint.as_directory() as name:
        folder = Path(name)
        backbone.import_weights(safetensors.torch.load_file(folder / WEIGHTS))
        if optimizer is not None:
            optimizer.load_state_dict(torch.load(folder / OPTIMIZER, map_location="cpu", weights_only=True))
        return json.loads((folder / STATE).read_text())
