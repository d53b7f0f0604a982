"""Table of the scoring methods for options, help texts, scorers and messages. It needs no torch, so `--help` is fast.

The classes in `attn.stages.scoring` compute the scores. Models of other kinds bring their scorers along
(`attn.stages.open_model`) and are not listed here.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal


@dataclasses.dataclass(frozen=True)
class Method:
    """Facts about a method.

    Attributes:
        definition: definition of its scores in one phrase, recorded with every figure.
        columns: columns of a store that it reads; if they have an axis of classes, it scores the store's classes.
        summary: phrase for help texts; empty for a variant.
        variant_of: method that also gives these scores in `evaluate`; None for a method of its own.
        calibrated: whether `evaluate --calibrate` adds a second set of scores. Late-fused scores are not calibrated,
            because each video averages different frames, those of its majority class (see `attn.eval.calibration`).
        requires: option of `evaluate` that it cannot do without, and the value to give; None for a method that needs
            only a CNN.
        settings: other options of `evaluate` that it uses.
        in_model_file: whether a model file of `choose` can contain it.
    """

    definition: str
    columns: tuple[str, ...]
    summary: str = ""
    variant_of: str | None = None
    calibrated: bool = False
    requires: tuple[str, str] | None = None
    settings: tuple[str, ...] = ()
    in_model_file: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """All options of `evaluate` that the method uses."""
        return (*(self.requires or ())[:1], *self.settings)


METHODS: Mapping[str, Method] = {
    "cnn": Method(
        "majority vote of frames; mean logits of the frames of the majority class",
        ("logits",),
        "majority vote of the CNN",
        in_model_file=True,
    ),
    "cnn_softmax": Method(
        "majority vote of frames; mean probabilities of the frames of the majority class",
        ("logits",),
        variant_of="cnn",
    ),
    "cnn_average": Method(
        "mean logits of all frames", ("logits",), variant_of="cnn", calibrated=True, in_model_file=True
    ),
    "unatt": Method(
        "mean over all frames of the largest attention in any window of the raw map",
        ("maps",),
        "window energy",
        calibrated=True,
        settings=("window",),
        in_model_file=True,
    ),
    "energynet": Method(
        "mean over all frames of the learned energy of the raw map",
        ("maps",),
        "learned energy",
        calibrated=True,
        requires=("energynet", "the folder written by train_energynet"),
        in_model_file=True,
    ),
    "svm": Method(
        "one-vs-rest linear SVMs on pooled features, C of the options; majority vote",
        ("features",),
        "linear SVMs on pooled features",
        requires=("train_split", "the list of training videos"),
        settings=("fraction", "svm_c", "seed"),
    ),
}

CHOICES = tuple(name for name, method in METHODS.items() if method.variant_of is None)
"""Methods of `evaluate --methods`."""
OF_CNN = tuple(name for name in CHOICES if METHODS[name].requires is None)
"""Methods that need only a CNN: `predict --method`."""
IN_MODEL_FILE = tuple(name for name, method in METHODS.items() if method.in_model_file)
"""Methods that a model file of `choose` can contain."""

if TYPE_CHECKING:
    Choice = OfCnn = str
else:
    Choice, OfCnn = Literal[CHOICES], Literal[OF_CNN]


def with_variants(name: str) -> tuple[str, ...]:
    """Names of the scores that a method of `evaluate --methods` gives."""
    return (name, *(one for one, method in METHODS.items() if method.variant_of == name))


def summaries(names: Iterable[str]) -> str:
    """Names with their summaries, for help texts."""
    return ", ".join(f"{name} ({METHODS[name].summary})" for name in names)
