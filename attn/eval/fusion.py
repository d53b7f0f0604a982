"""From the scores of single frames to the scores of a video: majority vote with late fusion.

The vote decides; the fused vector then ranks videos for average precision and classes for top-k. Frames that voted
for another class are left out of it, because averaging them in lets a few confident mistakes outweigh the vote.

Source: Li et al. 2017, section 4.3.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float


class Vote(NamedTuple):
    """Outcome of a majority vote: the class, and which frames voted for it."""

    winner: int
    voters: Bool[np.ndarray, "frame"]


def majority_vote(logits: Float[np.ndarray, "frame cls"]) -> Vote:
    """The class most frames name, each frame naming the class of its largest score (the lower index where two tie).

    Classes with equally many votes: the larger mean score among its own voters, then the lower index.

    Args:
        logits: any score per frame and class; at least one frame.

    Differs: the paper does not say how ties are broken.
    """
    frame_class = logits.argmax(axis=1)
    votes = np.bincount(frame_class, minlength=logits.shape[1])
    tied = np.flatnonzero(votes == votes.max())
    own_means = [logits[frame_class == c, c].mean(dtype=np.float64) for c in tied]
    winner = int(tied[np.argmax(own_means)])
    return Vote(winner, frame_class == winner)


def late_fusion(logits: Float[np.ndarray, "frame cls"]) -> Float[np.ndarray, "cls"]:
    """Score of a video: the mean of the frame scores over the frames that voted for the majority class.

        score(V,c) = mean over F with argmax y(F) = ĉ of y_c(F)

    Its largest entry is always the majority class ĉ: in every frame that is averaged, ĉ beats or ties every other
    class, and a tie is only possible with a higher index. The sum is kept in float64 so that rounding keeps it so.
    """
    return logits[majority_vote(logits).voters].mean(axis=0, dtype=np.float64)


def frame_average(logits: Float[np.ndarray, "frame cls"]) -> Float[np.ndarray, "cls"]:
    """Score of a video: the mean of the scores of all its frames. The paper finds it slightly worse than the vote."""
    return logits.mean(axis=0, dtype=np.float64)


def softmax(logits: Float[np.ndarray, "frame cls"]) -> Float[np.ndarray, "frame cls"]:
    """Probabilities of every frame, in float64 so that a confident frame does not round to exactly one."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    return exponentials / exponentials.sum(axis=1, keepdims=True)
