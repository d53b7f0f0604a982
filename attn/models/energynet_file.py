"""A trained EnergyNet as one file with everything needed to score the store that it names."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from attn.errors import UsageError
from attn.models.energynet import EnergyNet
from attn.models.tensors_file import check_finite, parse_tensors, write_tensors
from attn.storage.filesystem import join, open_filesystem, read_bytes, storage_errors

NAME = "energynet.safetensors"


@dataclasses.dataclass(frozen=True)
class TrainedEnergyNet:
    """The network, and what it was trained on.

    Attributes:
        net: on the CPU; its buffers hold the concept vectors and the map scale.
        class_names: of the concept vectors.
        map_shape: rows and columns of the maps it takes.
        fingerprint: of the attention store whose maps it knows; maps of another CNN would mean something else.
        trained: how, freely, in JSON types.
    """

    net: EnergyNet
    class_names: tuple[str, ...]
    map_shape: tuple[int, int]
    fingerprint: str
    trained: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def save_energynet(folder: str, trained: TrainedEnergyNet) -> str:
    """Writes `energynet.safetensors` into a folder, local or s3://, whole or not at all. Returns its sha256."""
    text = json.dumps(describe(trained), ensure_ascii=False)
    return write_tensors(join(folder, NAME), trained.net.state_dict(), text)


def describe(trained: TrainedEnergyNet) -> dict[str, Any]:
    """Everything but the tensors, in JSON types: with them, `assemble` makes the network again."""
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
    """Reads what `save_energynet` wrote.

    Raises:
        UsageError: nothing there, damaged, or no EnergyNet.
    """
    url = join(folder, NAME)
    with storage_errors(url):
        data = read_bytes(*open_filesystem(url))
    tensors, text = parse_tensors(url, data)
    check_finite(url, tensors)
    try:
        said = dict(json.loads(text or "{}"))
    except (ValueError, TypeError) as error:
        raise _no_energynet(url, error) from error
    return assemble(url, tensors, said)


def assemble(url: str, tensors: Mapping[str, Tensor], said: Mapping[str, Any]) -> TrainedEnergyNet:
    """Network of some tensors, all finite, and their description.

    Args:
        url: URL of their file, for messages.
        tensors: as in `EnergyNet.state_dict`.
        said: as `describe` gives it, perhaps from a file of another user.

    Raises:
        UsageError: they are no EnergyNet.
    """
    try:
        height, width = map_shape = tuple(said["map_shape"])
        names, fingerprint = tuple(map(str, said["class_names"])), str(said["fingerprint"])
        vectors, how = tensors["concept_vectors"], dict(said["trained"])
        if vectors.shape[:-1] != (len(names),):
            raise ValueError(f"{len(names)} classes, concept vectors of shape {tuple(vectors.shape)}")
        _check_shapes(tensors, map_shape, said["hidden_dim"], said["embedding_dim"])
        residual, window = _start(said, height, width)
        net = EnergyNet(
            vectors,
            (height, width),
            hidden_dim=said["hidden_dim"],
            embedding_dim=said["embedding_dim"],
            normalise_embedding=said["normalise_embedding"],
            residual=residual,
            window=window,
        )
        net.load_state_dict(tensors)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise _no_energynet(url, error) from error
    return TrainedEnergyNet(net.eval().requires_grad_(False), names, (height, width), fingerprint, how)


def _no_energynet(url: str, error: Exception) -> UsageError:
    return UsageError(f"{url} holds no EnergyNet, or not all of one ({error!r}); train it again")


def _check_shapes(
    tensors: Mapping[str, Tensor], map_shape: tuple[Any, ...], hidden_dim: Any, embedding_dim: Any
) -> None:
    """Before anything is allocated: a few bytes of text can ask for any amount.

    Raises:
        ValueError: the dimensions that the text tells are not those of the tensors.
    """
    height, width = map_shape
    if not all(type(number) is int and number > 0 for number in (height, width, hidden_dim, embedding_dim)):
        raise ValueError(f"maps of {map_shape}, {hidden_dim!r} hidden and {embedding_dim!r} embedding dimensions")
    meant = {
        "map_layer": (hidden_dim, height * width),
        "concept_layer": (hidden_dim, tensors["concept_vectors"].shape[1]),
        "embedding_layer": (embedding_dim, hidden_dim),
    }
    for layer, shape in meant.items():
        found = tuple(tensors[f"{layer}.weight"].shape)
        if found != shape:
            raise ValueError(f"{layer}.weight of shape {found} where {shape} is said")


def _start(said: Mapping[str, Any], height: int, width: int) -> tuple[bool, int]:
    """Whether energies start from the window energy, and the window. Files from before there was a choice say neither.

    Raises:
        ValueError: there can be no such window.
    """
    residual = said.get("residual", False)
    window = said["window"] if residual else 1
    if type(residual) is not bool or type(window) is not int or not 1 <= window <= min(height, width):
        raise ValueError(f"residual {residual!r}, a window of {window!r} on maps of {height}×{width}")
    return residual, window


def check_store(trained: TrainedEnergyNet, folder: str, url: str, fingerprint: str) -> None:
    """Refuses maps that the network does not know.

    Args:
        trained: the network.
        folder: where it lies.
        url: of the store it should score.
        fingerprint: of that store.

    Raises:
        UsageError: the store's maps are of another CNN, of other classes, or prepared otherwise.
    """
    if fingerprint != trained.fingerprint:
        raise UsageError(
            f"{folder} was trained on maps of the fingerprint {trained.fingerprint}, {url} has {fingerprint}: another "
            "CNN or other settings made them; train on this store, or score the other"
        )
