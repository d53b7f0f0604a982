"""Early stopping and choice of the checkpoint, by the accuracy on held-out videos.

There are few held-out videos, so the highest of many validation accuracies is partly luck: choosing it selected
checkpoints after hardly any training. Therefore a validation counts as worse only if it is below the best by more than
the standard error, and the latest checkpoint that is not worse is chosen.

    worse:  a < a* - sqrt(a* (1 - a*) / V),   a* the highest accuracy so far, on V videos

Source: one-standard-error rule of Breiman et al. 1984. Differs: Li et al. 2017 do not specify the length of training.
"""

import math
from collections.abc import Sequence


def is_worse(accuracies: Sequence[float], videos: int) -> bool:
    """Return whether the last validation is clearly worse than the best one.

    Args:
        accuracies: accuracies of all validations so far, 0–1; at least one.
        videos: number of held-out videos.
    """
    best = max(accuracies)
    return accuracies[-1] < best - math.sqrt(best * (1 - best) / videos)


def kept_look(accuracies: Sequence[float], videos: int) -> int:
    """Number, from 1, of the validation whose checkpoint is kept: the last one that was not worse at its time."""
    counts = range(1, len(accuracies) + 1)
    return max(count for count in counts if not is_worse(accuracies[:count], videos))


def is_over(accuracies: Sequence[float], videos: int, patience: int) -> bool:
    """Return whether the last `patience` validations were all worse; always False with a patience of 0."""
    return bool(patience and accuracies) and len(accuracies) - kept_look(accuracies, videos) >= patience
