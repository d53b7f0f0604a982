"""Signs that a network of clips has learnt nothing, from its rows of metrics.

This module imports neither torch nor Ray.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attn.training.soft_attention_rows import ACCURACY, AT_CHANCE, kept_number

TRAIN_ACCURACY = "train_accuracy"


def chance_loss(counts: Sequence[int], label_smoothing: float) -> float:
    """Smoothed cross-entropy of predicting the class frequencies f, in nats.

        entropy of (1 - s) f + s / C

    Args:
        counts: number of training videos of each of C classes.
        label_smoothing: s.
    """
    shares = [(1 - label_smoothing) * count / sum(counts) + label_smoothing / len(counts) for count in counts]
    return -sum(share * math.log(share) for share in shares if share)


def why_untrained(
    rows: Sequence[Mapping[str, Any]], *, chance: float, most_frequent: float, held_out: int
) -> list[str]:
    """Signs of a training without progress, one line each; empty if there are none.

        loss:      cross-entropy of the last epoch >= 0.98 · cross-entropy of the class frequencies
        accuracy:  a <= p + sqrt(p (1 - p) / V), p the share of the most frequent class among V held-out videos

    Args:
        rows: rows of metrics.
        chance: result of `chance_loss`.
        most_frequent: p.
        held_out: V; 0 without held-out videos.
    """
    last, kept = rows[-1], rows[kept_number(rows) - 1]
    reasons = []
    if last["cross_entropy"] >= AT_CHANCE * chance:
        reasons.append(
            f"the training loss is {last['cross_entropy']:.3f} (chance: {chance:.3f}): no progress. Try another --lr "
            "or more --epochs."
        )
    accuracy = kept.get(ACCURACY)
    if accuracy is not None and accuracy <= most_frequent + math.sqrt(most_frequent * (1 - most_frequent) / held_out):
        reasons.append(
            f"the accuracy on {held_out} held-out videos is {accuracy:.1%} (chance: {most_frequent:.1%}). Try more "
            "labelled videos, --weights kinetics or another --lr, and check the labels."
        )
    return reasons
