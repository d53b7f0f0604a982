"""Which state of a training is kept, and when it may end, by its accuracy on held-out videos.

Few videos can be spared, and among many looks at few videos the highest accuracy is a matter of luck: keeping it kept
states that had hardly begun to learn. So a look counts as worse only if it is by more than the standard error of the
best one, and of those that are not worse the latest is kept.

    worse:  a < a* - sqrt(a* (1 - a*) / V),   a* the highest accuracy so far, on V videos

Source: the margin is the one-standard-error rule of Breiman et al. 1984. Differs: Li et al. 2017 do not say how long
they train.
"""

import math
from collections.abc import Sequence


def is_worse(accuracies: Sequence[float], videos: int) -> bool:
    """Whether the last of some looks is clearly worse than the best of them.

    Args:
        accuracies: of all looks so far, 0–1; one at least.
        videos: held out.
    """
    best = max(accuracies)
    return accuracies[-1] < best - math.sqrt(best * (1 - best) / videos)


def kept_look(accuracies: Sequence[float], videos: int) -> int:
    """Number, from 1, of the look whose state is kept: the last that was not worse when it was taken."""
    counts = range(1, len(accuracies) + 1)
    return max(count for count in counts if not is_worse(accuracies[:count], videos))


def is_over(accuracies: Sequence[float], videos: int, patience: int) -> bool:
    """Whether the last looks, so many in a row, were all worse; never with a patience of 0."""
    return bool(patience and accuracies) and len(accuracies) - kept_look(accuracies, videos) >= patience
