"""Flags of jobs/predict.py."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import tyro

from attn.methods import OF_CNN, OfCnn, summaries

EVERY = "all"
RUNNER_UP = "runner-up"

HowMany = int | Literal["all"]


def _how_many(words: Sequence[str]) -> HowMany:
    """Value of a flag that may stand alone."""
    if len(words) > 1:
        raise ValueError("give one number, or none for all")
    return EVERY if not words or words[0] == EVERY else int(words[0])


_OPTIONAL_NUMBER = tyro.constructors.PrimitiveConstructorSpec[HowMany](
    nargs="*",
    metavar="[N]",
    instance_from_str=_how_many,
    is_instance=lambda value: value == EVERY or isinstance(value, int),
    str_from_instance=lambda value: [str(value)],
)


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    WORDS: ClassVar[Mapping[str, str]] = {"methods": summaries(OF_CNN), "default": OF_CNN[0]}

    videos: str
    """Videos, labelled or not: a folder tree, a folder of tar shards, a file or a glob, local or s3://."""
    model: tuple[str, ...]
    """Model file that contains a CNN, or a model and the CNN of its store. The first is a file of choose, or a
    checkpoint of train_cnn, adapt_cnn or train_clip_cnn; the second is the folder of train_energynet,
    train_soft_attention or train_tsrnet, and a checkpoint. Local or s3://."""
    out: str
    """Output folder, local or s3://, for predictions.csv and predictions.parquet. For more than 32 videos, the job also
    writes an attention store there."""
    method: OfCnn | None = None
    """Method for a checkpoint: {methods} (default: {default}). A model file of choose contains its own method."""
    stride: int = 5
    """Sampling stride S: use frames 0, S, 2S, … Clips of train_clip_cnn are sampled as in its training."""
    fps: float | None = None
    """Sampling rate in frames per second, by time stamp; replaces --stride (default: sample by --stride)."""
    overlays: Annotated[HowMany, _OPTIONAL_NUMBER] = 0
    """Draw each of N videos with its heat map, as an MP4 and a contact sheet in overlays/ of --out. N videos are spread
    evenly over the list; without a number, all are drawn."""
    overlay_class: str | None = None
    """Second class to draw with --overlays: a class name, or runner-up (default: only the predicted class)."""
    json: bool = False
    """Print JSON Lines instead of a table."""
    max_failed_fraction: float = 0.01
    """Largest allowed share of unreadable videos, 0 to 1; if more are unreadable, the job exits with code 3."""
