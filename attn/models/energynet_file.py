"""Saving and loading of a trained EnergyNet: one file with everything needed to score attention stores."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from attn.models.described_file import description_of, not_a, write_described
from attn.models.energynet import EnergyNet
from attn.models.tensors_file import Kind, TensorsFile, read_tensors
from attn.storage.filesystem import join

ENERGYNET, NOUN = Kind("energynet", 1, "0.1.0"), "an EnergyNet"
NAME = f"{ENERGYNET.name}.safetensors"


@dataclasses.dataclass(frozen=True)
class TrainedEnergyNet:
    """A trained EnergyNet with a description of its training data.

    Attributes:
        net: network on the CPU; its buffers include the concept vectors and the map scale.
        class_names: class names, in the order of the concept vectors.
        map_shape: rows and columns of the input maps.
        fingerprint: fingerprint of the attention store used in training; maps of another CNN are not comparable.
        trained: free-form record of the training, in JSON types.
    """

    net: EnergyNet
    class_names: tuple[str, ...]
    map_shape: tuple[int, int]
    fingerprint: str
    trained: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def save_energynet(folder: str, trained: TrainedEnergyNet) -> str:
    """Write `energynet.safetensors` into a folder, local or s3://, atomically. Returns its SHA-256."""
    return write_described(join(folder, NAME), trained.net.state_dict(), describe(trained), ENERGYNET)


def describe(trained: TrainedEnergyNet) -> dict[str, Any]:
    """Everything except the tensors, in JSON types; `assemble` rebuilds the network from both."""
    net = trained.net
    return {
        "class_names": trained.class_names,
        "map_shape": trained.map_shape,
        "fingerprint": trained.fingerprint,
        "hidden_dim": net.map_layer.out_features,
        "embedding_dim": net.embedding_layer.out_features,
        "normalise_embedding": net.normalise_embedding,
        "residual": net.residual,
        "window": net.window,
        "trained": dict(trained.trained),
    }


def load_energynet(folder: str) -> TrainedEnergyNet:
    """Load an EnergyNet that `save_energynet` wrote.

    Raises:
        UsageError: the file is missing, damaged or not an EnergyNet.
    """
    return energynet_of(read_tensors(join(folder, NAME)))


def energynet_of(file: TensorsFile) -> TrainedEnergyNet:
    """EnergyNet from a file that has been read.

    Raises:
        UsageError: the file is damaged or not an EnergyNet.
    """
    return assemble(file.url, file.tensors, description_of(file, ENERGYNET, NOUN))


def assemble(url: str, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> TrainedEnergyNet:
    """Build a network from its tensors and their description.

    Args:
        url: URL of the file, for messages.
        tensors: tensors as in `EnergyNet.state_dict`, all finite.
        description: result of `describe`; untrusted, because the file may come from another user.

    Raises:
        UsageError: tensors and description do not make up an EnergyNet.
    """
    try:
        height, width = map_shape = tuple(description["map_shape"])
        names, fingerprint = tuple(map(str, description["class_names"])), str(description["fingerprint"])
        vectors, how = tensors["concept_vectors"], dict(description["trained"])
        if vectors.shape[:-1] != (len(names),):
            raise ValueError(f"{len(names)} classes, but concept vectors of shape {tuple(vectors.shape)}")
        _check_shapes(tensors, map_shape, description["hidden_dim"], description["embedding_dim"])
        residual, window = _start(description, height, width)
        net = EnergyNet(
            vectors,
            (height, width),
            hidden_dim=description["hidden_dim"],
            embedding_dim=description["embedding_dim"],
            normalise_embedding=description["normalise_embedding"],
            residual=residual,
            window=window,
        )
        net.load_state_dict(tensors)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise not_a(NOUN, url, error) from error
    return TrainedEnergyNet(net.eval().requires_grad_(False), names, (height, width), fingerprint, how)


def _check_shapes(
    tensors: Mapping[str, Tensor], map_shape: tuple[Any, ...], hidden_dim: Any, embedding_dim: Any
) -> None:
    """Check the described dimensions before allocation, because a small file can claim any size.

    Raises:
        ValueError: the described dimensions differ from those of the tensors.
    """
    height, width = map_shape
    if not all(type(number) is int and number > 0 for number in (height, width, hidden_dim, embedding_dim)):
        raise ValueError(
            f"map shape {map_shape}, hidden_dim {hidden_dim!r} and embedding_dim {embedding_dim!r} must be positive "
            "integers"
        )
    expected = {
        "map_layer": (hidden_dim, height * width),
        "concept_layer": (hidden_dim, tensors["concept_vectors"].shape[1]),
        "embedding_layer": (embedding_dim, hidden_dim),
    }
    for layer, shape in expected.items():
        found = tuple(tensors[f"{layer}.weight"].shape)
        if found != shape:
            raise ValueError(f"{layer}.weight has shape {found}, not {shape}")


def _start(description: Mapping[str, Any], height: int, width: int) -> tuple[bool, int]:
    """Settings `residual` and `window`; files that predate residual networks have neither.

    Raises:
        ValueError: a value is invalid.
    """
    residual = description.get("residual", False)
    window = description["window"] if residual else 1
    if type(residual) is not bool or type(window) is not int or not 1 <= window <= min(height, width):
        raise ValueError(f"residual {residual!r}, a window of {window!r} on maps of {height}×{width}")
    return residual, window
