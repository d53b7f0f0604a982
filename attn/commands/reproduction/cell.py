"""Types of a plan of experiments: start weights and sets of scores."""

import dataclasses
import re
from typing import NamedTuple

WEB, ZERO_SHOT, ADAPTED, NO_IMAGE = "web", "zeroshot", "adapted", "noimage"
WITHOUT_LABELS = (WEB, ZERO_SHOT, ADAPTED)
"""Training data of CNNs that have seen no labelled video."""
LSTM, CNN = "lstm", "cnn"
"""Kinds of cells of the soft-attention tables: scores of all LSTMs, and of the fine-tuned CNN."""


class Start(NamedTuple):
    """Start weights of a fine-tuning.

    Attributes:
        weights: URL, `imagenet`, or None for random weights.
        needs: names of the steps that produce the weights.
        mixed: URL of the Web images to mix into the frames; None for no mixing.
    """

    weights: str | None
    needs: tuple[str, ...] = ()
    mixed: str | None = None


@dataclasses.dataclass(frozen=True)
class Cell:
    """Set of scores of one CNN on the test videos of one split.

    Attributes:
        backbone: name of the CNN.
        seed: seed of all trainings behind the scores.
        split: name of the split.
        trained_on: `web`, `zeroshot`, `adapted`, `noimage`, or the percentage of the training videos, three digits;
            `adapted-<percentage>` or `zeroshot-<percentage>` if only the EnergyNet was trained on them. In the
            soft-attention tables, `lstm` or `cnn`.
        scores: name of the step that computes the scores.
    """

    backbone: str
    seed: int
    split: str
    trained_on: str
    scores: str


def cell_of(scores: str) -> Cell:
    """Return the cell of a step that computes scores, from the step's name; see `experiment` for the folders."""
    backbone, seed, *place = scores.split("/")
    match place:
        case ["web" | "zeroshot" as trained_on, split]:
            pass
        case [split, "adapted" | "zeroshot" as cnn, share, _]:
            trained_on = f"{cnn}-{share}"
        case [split, trained_on, _]:
            pass
        case _:
            raise ValueError(f"{scores}: not the name of a step that computes scores")
    return Cell(backbone, int(seed.removeprefix("seed")), split, trained_on, scores)


def group_of(step: str) -> str:
    """Return a step's name without seed, split and number of the fold: steps that differ in nothing else share it."""
    backbone, seed, *place = step.split("/")
    if not seed.startswith("seed"):  # one network for all seeds
        return " ".join([backbone, seed, *place])
    if place[0] not in WITHOUT_LABELS:
        place = place[1:]
    return " ".join([backbone, *(re.sub(r"^fold\d+of(\d+)$", r"fold of \1", one) for one in place)])
