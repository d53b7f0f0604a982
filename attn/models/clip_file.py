"""Saving and loading of trained networks of clips: one file with everything needed to score videos."""

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import torch

from attn.errors import UsageError
from attn.models.attention_distillation import MAPS, ClipArchitecture, ClipCnn
from attn.models.clip_backbone import CLIP_BACKBONES, KINETICS_MEAN, KINETICS_STD, Modality, map_shape
from attn.models.clip_input import ClipInput
from attn.models.described_file import assembled, description_of, not_a, write_described
from attn.models.tensors_file import Kind, TensorsFile, read_tensors

CLIP_CNN, NOUN = Kind("clip_cnn", 1, "0.1.0"), "a network of clips"
MOST = 1 << 16
"""Limit of the numbers of an architecture and its input, because a small file can claim any size."""


@dataclasses.dataclass(frozen=True)
class TrainedClipCnn:
    """A trained network of clips with a description of its input and its training data.

    Attributes:
        net: network in evaluation mode, on the CPU, which cannot be trained.
        class_names: names of the classes, in the order of the outputs.
        input: input of the network.
        flow: kind of flow that it takes, by the fields of the manifest; empty for RGB.
        trained: free-form record of the training, in JSON types.
        sha256: SHA-256 of the file; empty before it is written.
    """

    net: ClipCnn
    class_names: tuple[str, ...]
    input: ClipInput
    flow: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    trained: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    sha256: str = ""

    @property
    def modality(self) -> Modality:
        """Modality of the clips."""
        return self.net.architecture.modality

    @property
    def map_shape(self) -> tuple[int, int, int]:
        """Time, rows and columns of the attention maps."""
        return map_shape(self.net.architecture.backbone, self.input.clip_shape)

    @property
    def map_names(self) -> tuple[str, ...]:
        """Names of the attention maps."""
        return MAPS[self.net.architecture.num_maps]


def save_clip_cnn(url: str, trained: TrainedClipCnn) -> str:
    """Write a file, local or s3://, atomically. Returns its SHA-256."""
    description = {
        "architecture": dataclasses.asdict(trained.net.architecture),
        "class_names": trained.class_names,
        "input": dataclasses.asdict(trained.input),
        "flow": dict(trained.flow),
        "trained": dict(trained.trained),
    }
    return write_described(url, trained.net.state_dict(), description, CLIP_CNN)


def load_clip_cnn(url: str) -> TrainedClipCnn:
    """Load a network that `save_clip_cnn` wrote.

    Raises:
        UsageError: the file is missing, damaged or not a network of clips.
    """
    return clip_cnn_of(read_tensors(url))


def clip_cnn_of(file: TensorsFile) -> TrainedClipCnn:
    """Network of clips from a file that has been read.

    Raises:
        UsageError: the file is damaged or not a network of clips.
    """
    if file.kind is None:
        raise UsageError(f"{file.url}: not {NOUN}. Give the file of a training with train_clip_cnn.")
    description = description_of(file, CLIP_CNN, NOUN)
    try:
        architecture = _checked(ClipArchitecture, description["architecture"])
        names, taken = tuple(map(str, description["class_names"])), _checked(ClipInput, _input(description["input"]))
        if architecture.backbone not in CLIP_BACKBONES or architecture.num_maps not in MAPS:
            raise ValueError(str(architecture))
        if len(names) != architecture.num_classes or not 0 < taken.crop <= taken.size:
            raise ValueError(f"{len(names)} classes, {taken}")
        return TrainedClipCnn(
            assembled(lambda: ClipCnn(architecture), file.tensors, kinds={torch.float32, torch.int64}),
            names,
            taken,
            dict(description["flow"]),
            dict(description["trained"]),
            file.sha256,
        )
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError, UsageError) as error:
        raise not_a(NOUN, file.url, error) from error


def _input(described: Mapping[str, Any]) -> dict[str, Any]:
    """Description of an input with tuples for lists.

    Raises:
        KeyError, ValueError, TypeError: mean or standard deviation are not three numbers.
    """
    mean, std = (tuple(map(float, described[name])) for name in ("mean", "std"))
    if len(mean) != len(KINETICS_MEAN) or len(std) != len(KINETICS_STD) or not min(std) > 0:
        raise ValueError(f"mean {mean!r}, std {std!r}")
    return {**described, "mean": mean, "std": std, "sampling": dict(described["sampling"])}


def _checked(kind: type[Any], described: dict[str, Any]) -> Any:
    """Dataclass from its description; untrusted, because the file may come from another user.

    Raises:
        KeyError, ValueError, TypeError: a field is missing, unknown, of another type or out of range.
    """
    for name, hint in get_type_hints(kind).items():
        value, choices = described[name], get_args(hint)
        allowed = (int, float) if hint is float else (hint,)
        if hint in (int, bool, str, float) and type(value) not in allowed:
            raise ValueError(f"{name} {value!r}")
        if choices and isinstance(choices[0], str) and value not in choices:
            raise ValueError(f"{name} {value!r}")
        least = 0 if hint is float or name in ("num_maps", "attention_hidden") else 1
        if hint in (int, float) and not least <= float(value) <= MOST:
            raise ValueError(f"{name} {value!r}")
    found = kind(**described)
    if isinstance(found, ClipArchitecture) and not (found.temperature > 0 and found.dropout < 1):
        raise ValueError(f"temperature {found.temperature!r}, dropout {found.dropout!r}")
    return found
