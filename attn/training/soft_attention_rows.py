"""Rows of metrics of a soft-attention LSTM's training: columns, and choice of the weights that are kept.

This module imports neither torch nor Ray.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

ACCURACY, MAP = "validation_accuracy", "validation_map"
"""Figure of the held-out videos: accuracy, or mean average precision if videos may have several classes."""
RETRAINING = "retraining"
"""Column that is true while the network is trained again on all videos."""
AT_CHANCE = 0.98
"""Cross-entropy, as a share of that of the class frequencies, from which nothing has been learnt."""

Rows = Sequence[Mapping[str, Any]]


def figure_of(row: Mapping[str, Any]) -> float | None:
    """Figure of the held-out videos; None without any."""
    accuracy = row.get(ACCURACY)
    return row.get(MAP) if accuracy is None else accuracy


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


def chance_loss(targets: np.ndarray, weights: np.ndarray) -> float:
    """Cross-entropy of a step if the class frequencies are predicted, in nats.

    Args:
        targets: class id of each video, or a mask of its classes.
        weights: number of windows of each video.
    """
    if targets.ndim == 1:
        shares = np.bincount(targets, weights) / weights.sum()
        return -sum(share * math.log(share) for share in shares.tolist() if share)
    shares = (weights @ targets / weights.sum()).tolist()
    return -sum(p * math.log(p) + (1 - p) * math.log(1 - p) for p in shares if 0 < p < 1)


def why_untrained(rows: Rows, *, chance: float, most_frequent: float, held_out: int) -> list[str]:
    """Signs of a training without progress, one line each; empty if there are none.

        loss:      cross-entropy of the last updates >= 0.98 · cross-entropy of the class frequencies
        accuracy:  a <= p + sqrt(p (1 - p) / V), p the share of the most frequent class among V held-out videos

    Args:
        rows: rows of metrics of all validations.
        chance: result of `chance_loss` for the training videos.
        most_frequent: p.
        held_out: V; 0 without held-out videos, or if they may have several classes.
    """
    last, kept = rows[-1], rows[kept_number(rows) - 1]
    reasons = []
    if last["cross_entropy"] >= AT_CHANCE * chance:
        reasons.append(
            f"the training loss per step is {last['cross_entropy']:.3f} (chance: {chance:.3f}): no progress. Try a "
            "higher --lr or more --epochs."
        )
    accuracy = kept.get(ACCURACY)
    if accuracy is not None and accuracy <= most_frequent + math.sqrt(most_frequent * (1 - most_frequent) / held_out):
        reasons.append(
            f"the accuracy on {held_out} held-out videos is {accuracy:.1%} (chance: {most_frequent:.1%}). Try more "
            "labelled videos, a smaller --hidden-dim or another --lr, and check the labels."
        )
    return reasons
