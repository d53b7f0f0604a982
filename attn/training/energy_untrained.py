"""Diagnosis of EnergyNet training runs without progress, with suggestions for the user."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

ENTIRE_MARGIN = 0.98
"""Ranking loss, as a share of the margin, from which the energies of the classes count as equal."""
HARDLY_WRONG = 0.02
"""Ranking loss, as a share of the margin, below which the training maps are almost always right."""
LEAST_SPREAD = 0.02
"""Minimum mean cosine distance of the embeddings."""


@dataclasses.dataclass(frozen=True)
class Training:
    """Settings of a training run that are needed for the diagnosis.

    Attributes:
        margin: m.
        residual: True if training started from the window energy; otherwise all energies are equal at first.
        triplets: True if the triplet loss was used.
        classes: number of classes.
        held_out: number of held-out videos.
    """

    margin: float
    residual: bool
    triplets: bool
    classes: int
    held_out: int


def why_untrained(rows: Sequence[Mapping[str, Any]], kept: Mapping[str, Any], training: Training) -> list[str]:
    """Signs of a training run without progress, one line each; empty if there are none.

    Args:
        rows: rows of metrics of all validations.
        kept: row of the checkpoint that is kept.
        training: settings of the run.
    """
    reasons = (_loss(rows, training), _accuracy(kept, training), _spread(kept, training))
    return [reason for reason in reasons if reason]


def _loss(rows: Sequence[Mapping[str, Any]], training: Training) -> str | None:
    first, last = rows[0]["random_ranking"], rows[-1]["random_ranking"]
    if not training.residual and last >= ENTIRE_MARGIN * training.margin:
        return (
            f"the final ranking loss of random samples is {last:.3f}, almost the whole margin of {training.margin:g}. "
            "The steps are too small or too few. Try --recipe steady, a higher --lr or more --updates."
        )
    if len(rows) < 2 or last < first or last == 0:
        return None
    rise = f"the ranking loss of random samples did not fall: {first:.3g} at the start, {last:.3g} at the end"
    if last < HARDLY_WRONG * training.margin:
        return (
            f"{rise}. The maps of the training videos are almost always right, most likely because their CNN was "
            "fine-tuned on these videos. Try --out-of-fold."
        )
    return f"{rise}. Most likely the steps are too large. Try a lower --lr."


def _accuracy(kept: Mapping[str, Any], training: Training) -> str | None:
    """Message if the accuracy is at chance, within a standard error: `a ≤ 1/C + sqrt(1/C (1 - 1/C) / V)`."""
    accuracy, chance = kept["validation_accuracy"], 1 / training.classes
    if accuracy is None or accuracy > chance + math.sqrt(chance * (1 - chance) / training.held_out):
        return None
    return (
        f"the accuracy on {training.held_out} held-out videos is {accuracy:.1%}, at chance level ({chance:.1%}). Most "
        "likely the maps do not depend on the class. Inspect some with explore, and try more labelled videos or "
        "another --lr."
    )


def _spread(kept: Mapping[str, Any], training: Training) -> str | None:
    spread = kept.get("embedding_spread")
    if spread is None or not training.triplets or spread >= LEAST_SPREAD:
        return None
    return (
        f"all embeddings point in one direction (mean cosine distance {spread:.4f}), so the triplet loss has no "
        "effect. Try --centre (without --recipe paper), or --triplet-weight 0."
    )
