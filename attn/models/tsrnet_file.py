"""Saving and loading of a trained TSRNet: one file with everything needed to score stores with features."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import torch

from attn.models.described_file import assembled, description_of, not_a, write_described
from attn.models.tensors_file import Kind, TensorsFile, read_tensors
from attn.models.tsrnet import CLASSIFIER, Architecture, Tsrnet
from attn.storage.filesystem import join
from attn.storage.location import Location

TSRNET, NOUN = Kind("tsrnet", 1, "0.1.0"), "a TSRNet"
NAME = f"{TSRNET.name}.safetensors"


@dataclasses.dataclass(frozen=True)
class TrainedTsrnet:
    """A trained TSRNet with a description of its training data.

    Attributes:
        net: network on the CPU.
        class_names: names of the classes, in the order of the outputs.
        num_samples: number of samples of a video, or `all`.
        backbone: name of the CNN that computed the features.
        fingerprint: fingerprint of the store of the untrimmed videos.
        trained: free-form record of the training, in JSON types.
    """

    net: Tsrnet
    class_names: tuple[str, ...]
    num_samples: Any
    backbone: str
    fingerprint: str
    trained: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def save_tsrnet(folder: str, trained: TrainedTsrnet) -> str:
    """Write `tsrnet.safetensors` into a folder, local or s3://, atomically. Returns its SHA-256."""
    description = {
        "architecture": dataclasses.asdict(trained.net.architecture),
        "class_names": trained.class_names,
        "num_samples": trained.num_samples,
        "backbone": trained.backbone,
        "fingerprint": trained.fingerprint,
        "trained": dict(trained.trained),
    }
    return write_described(join(folder, NAME), trained.net.state_dict(), description, TSRNET)


def file_at(url: str) -> str:
    """URL of the file of a network, which may be given by its folder."""
    return url if url.endswith(".safetensors") else join(url, NAME)


def sha256_of(url: str) -> str:
    """SHA-256 of the file of a network, which may be given by its folder."""
    return hashlib.sha256(Location.at(file_at(url)).read_bytes()).hexdigest()


def load_tsrnet(url: str) -> TrainedTsrnet:
    """Load a network that `save_tsrnet` wrote; it is in evaluation mode and cannot be trained.

    Args:
        url: URL of the file or of its folder.

    Raises:
        UsageError: the file is missing, damaged or not a TSRNet.
    """
    return tsrnet_of(read_tensors(file_at(url)))


def tsrnet_of(file: TensorsFile) -> TrainedTsrnet:
    """TSRNet from a file that has been read.

    Raises:
        UsageError: the file is damaged or not a TSRNet.
    """
    description = description_of(file, TSRNET, NOUN)
    try:
        architecture = _architecture(description["architecture"])
        names, samples = tuple(map(str, description["class_names"])), description["num_samples"]
        if len(names) != architecture.num_classes:
            raise ValueError(f"{len(names)} classes for {architecture}")
        if samples != "all" and not (type(samples) is int and 1 <= samples <= 1 << 22):
            raise ValueError(f"num_samples {samples!r}")
        return TrainedTsrnet(
            assembled(lambda: Tsrnet(architecture), file.tensors, kinds={torch.float32}),
            names,
            samples,
            str(description["backbone"]),
            str(description["fingerprint"]),
            dict(description["trained"]),
        )
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise not_a(NOUN, file.url, error) from error


def load_start(net: Tsrnet, start: Tsrnet) -> None:
    """Copy all weights but those of the classifier, FC2, which depends on the classes.

    Raises:
        RuntimeError: the networks have other layers or widths.
    """
    weights = {name: one for name, one in start.state_dict().items() if not name.startswith(CLASSIFIER)}
    classifier = {name: one for name, one in net.state_dict().items() if name.startswith(CLASSIFIER)}
    net.load_state_dict({**weights, **classifier})


def _architecture(described: Mapping[str, Any]) -> Architecture:
    """Architecture from its description; untrusted, because the file may come from another user.

    Raises:
        KeyError, ValueError, TypeError: a setting is missing, unknown, of another type or out of range.
    """
    for name, kind in get_type_hints(Architecture).items():
        value, choices = described[name], get_args(kind)
        if (value not in choices) if choices else type(value) is not kind:
            raise ValueError(f"{name} {value!r}")
        if kind is int and not 1 <= value <= 1 << 31:
            raise ValueError(f"{name} {value!r}")
    return Architecture(**described)
