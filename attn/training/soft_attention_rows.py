"""Columns of the rows of metrics of a soft-attention LSTM's training, and its loss at chance level.

This module imports neither torch nor Ray.
"""

import math

import numpy as np

RETRAINING = "retraining"
"""Column that is true while the network is trained again on all videos."""


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
