"""Reasons to say that the training of an EnergyNet has learnt nothing, with what to try."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

ENTIRE_MARGIN = 0.98
"""Share of the margin from which on the ranking loss says that energies do not differ."""
HARDLY_WRONG = 0.02
"""Share of the margin below which there was hardly anything to learn."""
LEAST_SPREAD = 0.02


@dataclasses.dataclass(frozen=True)
class Training:
    """What a training's rows are judged by.

    Attributes:
        margin: m.
        residual: whether it started from the window energy; without it energies do not differ at first.
        triplets: whether the triplet loss was learnt from.
        classes: how many.
        held_out: videos.
    """

    margin: float
    residual: bool
    triplets: bool
    classes: int
    held_out: int


def why_untrained(rows: Sequence[Mapping[str, Any]], kept: Mapping[str, Any], training: Training) -> list[str]:
    """One line per reason; none for a training that has learnt something.

    Args:
        rows: of all validations.
        kept: the row whose weights are kept.
        training: what it was.
    """
    reasons = (_loss(rows, training), _accuracy(kept, training), _spread(kept, training))
    return [reason for reason in reasons if reason]


def _loss(rows: Sequence[Mapping[str, Any]], training: Training) -> str | None:
    first, last = rows[0]["random_ranking"], rows[-1]["random_ranking"]
    if not training.residual and last >= ENTIRE_MARGIN * training.margin:
        return (
            f"the ranking loss of random samples is {last:.3f} at the end, the whole margin of {training.margin:g}: "
            "the steps are too small or too few; try --recipe steady, a higher --lr or more --updates"
        )
    if len(rows) < 2 or last < first or last == 0:
        return None
    fell = f"the ranking loss of random samples is {last:.3g} at the end and was {first:.3g} at the start"
    if last < HARDLY_WRONG * training.margin:
        return (
            f"{fell}: the maps of the training videos are hardly ever wrong, most likely because their CNN was "
            "fine-tuned on them; try --out-of-fold"
        )
    return f"{fell}: most likely the steps are too large; try a lower --lr"


def _accuracy(kept: Mapping[str, Any], training: Training) -> str | None:
    """At chance, up to the standard error of guesses: a ≤ 1/C + sqrt(1/C (1 - 1/C) / V)."""
    accuracy, chance = kept["validation_accuracy"], 1 / training.classes
    if accuracy is None or accuracy > chance + math.sqrt(chance * (1 - chance) / training.held_out):
        return None
    return (
        f"the accuracy on {training.held_out} held-out videos is {accuracy:.1%}, and {chance:.1%} is chance: most "
        "likely the maps say nothing of the class; look at some (explore), give more labelled videos, or another --lr"
    )


def _spread(kept: Mapping[str, Any], training: Training) -> str | None:
    spread = kept.get("embedding_spread")
    if spread is None or not training.triplets or spread >= LEAST_SPREAD:
        return None
    return (
        f"the embeddings all point one way (mean cosine distance {spread:.4f}), so the triplet loss teaches nothing: "
        "try a centred start (not --no-centre, nor --recipe paper), or --triplet-weight 0"
    )
