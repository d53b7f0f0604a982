"""Saving and loading of a trained soft-attention LSTM: one file with everything needed to score stores with grids."""

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import torch

from attn.models.described_file import assembled, description_of, not_a, write_described
from attn.models.soft_attention import Architecture, SoftAttention
from attn.models.tensors_file import Kind, TensorsFile, read_tensors
from attn.storage.filesystem import join

SOFT_ATTENTION, NOUN = Kind("soft_attention", 1, "0.1.0"), "a soft-attention LSTM"
NAME = f"{SOFT_ATTENTION.name}.safetensors"


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
        "architecture": dataclasses.asdict(trained.net.architecture),
        "class_names": trained.class_names,
        "map_shape": trained.map_shape,
        "backbone": trained.backbone,
        "fingerprint": trained.fingerprint,
        "trained": dict(trained.trained),
    }
    return write_described(join(folder, NAME), trained.net.state_dict(), description, SOFT_ATTENTION)


def load_soft_attention(folder: str) -> TrainedSoftAttention:
    """Load a network that `save_soft_attention` wrote; it is in evaluation mode and cannot be trained.

    Raises:
        UsageError: the file is missing, damaged or not a soft-attention LSTM.
    """
    return soft_attention_of(read_tensors(join(folder, NAME)))


def soft_attention_of(file: TensorsFile) -> TrainedSoftAttention:
    """Soft-attention LSTM from a file that has been read.

    Raises:
        UsageError: the file is damaged or not a soft-attention LSTM.
    """
    description = description_of(file, SOFT_ATTENTION, NOUN)
    try:
        architecture = _architecture(description["architecture"], len(file.tensors))
        names, (height, width) = tuple(map(str, description["class_names"])), description["map_shape"]
        whole = all(type(side) is int and side > 0 for side in (height, width))
        if not whole or (len(names), height * width) != (architecture.num_classes, architecture.num_cells):
            raise ValueError(f"{len(names)} classes and a map of {height}×{width} for {architecture}")
        return TrainedSoftAttention(
            assembled(lambda: SoftAttention(architecture), file.tensors, kinds={torch.float32}),
            names,
            (height, width),
            str(description["backbone"]),
            str(description["fingerprint"]),
            dict(description["trained"]),
        )
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise not_a(NOUN, file.url, error) from error


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
