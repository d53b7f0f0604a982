"""The state of a CNN's training after an epoch, as a few files.

`weights.safetensors` of now under torchvision's names, `kept.safetensors` of the best epoch where that is another,
`optimizer.pt` (tensors and numbers, read without unpickling more), `state.json`.
"""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor
from torch.optim import Optimizer

from attn.models.backbone import Backbone

WEIGHTS, KEPT, OPTIMIZER, STATE = "weights.safetensors", "kept.safetensors", "optimizer.pt", "state.json"


def save_state(
    backbone: Backbone, kept: dict[str, Tensor], optimizer: Optimizer, state: dict[str, Any]
) -> Iterator[tuple[str, bytes]]:
    """The files.

    Args:
        backbone: on any device.
        kept: weights that are kept; none where those of now are.
        optimizer: of its weights.
        state: in JSON types.
    """
    yield WEIGHTS, safetensors.torch.save(plain_weights(backbone))
    if kept:
        yield KEPT, safetensors.torch.save(kept)
    moments = io.BytesIO()
    torch.save(optimizer.state_dict(), moments)
    yield OPTIMIZER, moments.getvalue()
    yield STATE, json.dumps(state, ensure_ascii=False).encode()


def load_state(
    files: Mapping[str, bytes], backbone: Backbone, optimizer: Optimizer
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Puts a saved epoch back into a network and its optimiser; the state beside them, and the weights kept."""
    backbone.import_weights(safetensors.torch.load(files[WEIGHTS]))
    optimizer.load_state_dict(torch.load(io.BytesIO(files[OPTIMIZER]), map_location="cpu", weights_only=True))
    return json.loads(files[STATE]), safetensors.torch.load(files.get(KEPT, files[WEIGHTS]))


def load_kept(files: Mapping[str, bytes], backbone: Backbone) -> dict[str, Any]:
    """Puts the weights that were kept into a network; the state beside them."""
    backbone.import_weights(safetensors.torch.load(files.get(KEPT, files[WEIGHTS])))
    return json.loads(files[STATE])


def plain_weights(backbone: Backbone) -> dict[str, Tensor]:
    """Copies on the CPU that later updates leave alone."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in backbone.export_weights().items()
    }
