"""Saving and loading of a trained soft-attention LSTM: one file with everything needed to score stores with grids."""

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import torch
from torch import Tensor

from attn.models.described_file import check_fingerprint, not_a, read_described, write_described
from attn.models.soft_attention import Architecture, SoftAttention
from attn.storage.filesystem import join

NAME, KIND = "soft_attention.safetensors", "a soft-attention LSTM"
_TAG = "soft_attention"


@dataclasses.dataclass(frozen=True)
class TrainedSoftAttention:
    """A trained soft-attention LSTM with a description of its training data.

    Attributes:
        net: network on the CPU.
        class_names: names of the classes, in the order of the outputs.
        map_shape: rows and columns of the grids; their product is the number of cells.
        backbone: name of the CNN that computed the grids.
        fingerprint: fingerprint of the store of the grids; those of another CNN are not comparable.
        trained: free-form record of the training, in JSON types.
    """

    net: SoftAttention
    class_names: tuple[str, ...]
    map_shape: tuple[int, int]
    backbone: str
    fingerprint: str
    trained: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def save_soft_attention(folder: str, trained: TrainedSoftAttention) -> str:
    """Write `soft_attention.safetensors` into a folder, local or s3://, atomically. Returns its SHA-256."""
    description = {
        "kind": _TAG,
        "architecture": dataclasses.asdict(trained.net.architecture),
        "class_names": trained.class_names,
        "map_shape": trained.map_shape,
        "backbone": trained.backbone,
        "fingerprint": trained.fingerprint,
        "trained": dict(trained.trained),
    }
    return write_described(join(folder, NAME), trained.net.state_dict(), description)


def load_soft_attention(folder: str) -> TrainedSoftAttention:
    """Load a network that `save_soft_attention` wrote; it is in evaluation mode and cannot be trained.

    Raises:
        UsageError: the file is missing, damaged or not a soft-attention LSTM.
    """
    url = join(folder, NAME)
    tensors, description = read_described(url, KIND)
    try:
        if description["kind"] != _TAG:
            raise ValueError(f"kind {description['kind']!r}")
        architecture = _architecture(description["architecture"], len(tensors))
        names, (height, width) = tuple(map(str, description["class_names"])), description["map_shape"]
        whole = all(type(side) is int and side > 0 for side in (height, width))
        if not whole or (len(names), height * width) != (architecture.num_classes, architecture.num_cells):
            raise ValueError(f"{len(names)} classes and a map of {height}×{width} for {architecture}")
        return TrainedSoftAttention(
            _net(architecture, tensors),
            names,
            (height, width),
            str(description["backbone"]),
            str(description["fingerprint"]),
            dict(description["trained"]),
        )
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise not_a(KIND, url, error) from error


def check_store(trained: TrainedSoftAttention, folder: str, url: str, fingerprint: str) -> None:
    """Check that a store contains grids of the kind that the network was trained on.

    Args:
        trained: trained network.
        folder: URL of the network's folder.
        url: URL of the store to score.
        fingerprint: fingerprint of that store.

    Raises:
        UsageError: the grids are from another CNN, or computed with other settings.
    """
    check_fingerprint(trained.fingerprint, folder, url, fingerprint, f"grids of {trained.backbone}")


def _net(architecture: Architecture, tensors: Mapping[str, Tensor]) -> SoftAttention:
    """Network with these tensors. It takes no memory of its own, because a small file can claim any size.

    Raises:
        ValueError, RuntimeError: the tensors are not those of the architecture.
    """
    if odd := {tensor.dtype for tensor in tensors.values()} - {torch.float32}:
        raise ValueError(f"weights of {odd}")
    with torch.device("meta"):
        net = SoftAttention(architecture)
    net.load_state_dict(tensors, assign=True)
    return net.eval().requires_grad_(False)


def _architecture(described: Mapping[str, Any], most_layers: int) -> Architecture:
    """Architecture from its description; untrusted, because the file may come from another user.

    Raises:
        KeyError, ValueError, TypeError: a setting is missing, unknown, of another type or out of range.
    """
    for name, kind in get_type_hints(Architecture).items():
        value, choices, kinds = described[name], get_args(kind), (int, float) if kind is float else (kind,)
        if (value not in choices) if choices else type(value) not in kinds:
            raise ValueError(f"{name} {value!r}")
        if kind is int and not 1 <= value <= (most_layers if name.endswith("_layers") else 1 << 31):
            raise ValueError(f"{name} {value!r}")
    dropout = float(described["dropout"])
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout {dropout!r}")
    return Architecture(**{**described, "dropout": dropout})
