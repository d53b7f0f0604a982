"""Columns of the rows of metrics of a network of clips, and its loss at chance level.

This module imports neither torch nor Ray.
"""

import math
from collections.abc import Sequence

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
