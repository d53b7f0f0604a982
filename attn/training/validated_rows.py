"""Rows of metrics of a training that is validated by one figure, and choice of the kept weights.

This module imports neither torch nor Ray.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

ACCURACY, MAP = "validation_accuracy", "validation_map"
"""Figure of the held-out videos: accuracy, or mean average precision if videos may have several classes."""
AT_CHANCE = 0.98
"""Cross-entropy, as a share of that of the class frequencies, from which nothing has been learnt."""

Rows = Sequence[Mapping[str, Any]]


def figure_of(row: Mapping[str, Any]) -> float | None:
    """Figure of the held-out videos; None without any."""
    accuracy = row.get(ACCURACY)
    return row.get(MAP) if accuracy is None else accuracy


def figure_text(row: Mapping[str, Any]) -> str:
    """Figure of the held-out videos for a line of the log, with a comma before it; empty without one."""
    figure = figure_of(row)
    if figure is None:
        return ""
    return f", validation {'mAP' if row.get(ACCURACY) is None else 'accuracy'} {figure:.3f}"


def kept_number(rows: Rows) -> int:
    """Number, from 1, of the row whose weights are kept: the last of the best validations, else the last row.

    Weights of a training on all videos, which has no validation, replace those before it.

    Args:
        rows: at least one row.

    Source: released code of Sharma et al. 2015, which keeps the last among equals.
    """
    figures = [figure_of(row) for row in rows]
    if figures[-1] is None:
        return len(rows)
    return max(range(len(rows)), key=lambda i: (figures[i], i)) + 1


def why_untrained(
    rows: Rows, *, loss: str, chance: float, most_frequent: float, held_out: int, advice: tuple[str, str]
) -> list[str]:
    """Signs of a training without progress, one line each; empty if there are none.

        loss:      cross-entropy of the last updates >= 0.98 · cross-entropy of the class frequencies
        accuracy:  a <= p + sqrt(p (1 - p) / V), p the share of the most frequent class among V held-out videos

    Args:
        rows: rows of metrics of all validations.
        loss: column of the cross-entropy.
        chance: cross-entropy of the class frequencies, in nats.
        most_frequent: p.
        held_out: V; 0 without held-out videos, or if they may have several classes.
        advice: flags to try for the loss and for the accuracy, as the objects of a sentence.
    """
    last, kept = rows[-1], rows[kept_number(rows) - 1]
    reasons = []
    if last[loss] >= AT_CHANCE * chance:
        reasons.append(f"the training loss is {last[loss]:.3f} (chance: {chance:.3f}): no progress. Try {advice[0]}.")
    accuracy = kept.get(ACCURACY)
    if accuracy is not None and accuracy <= most_frequent + math.sqrt(most_frequent * (1 - most_frequent) / held_out):
        reasons.append(
            f"the accuracy on {held_out} held-out videos is {accuracy:.1%} (chance: {most_frequent:.1%}). Try more "
            f"labelled videos, {advice[1]}, and check the labels."
        )
    return reasons
