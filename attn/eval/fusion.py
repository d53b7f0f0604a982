"""Fusion of frame scores into video scores, majority vote with late fusion, and fusion of two networks.

The vote determines the class. The fused vector ranks videos for average precision and classes for top-k. It does not
include frames that voted for other classes, because a few confident mistakes among them could outweigh the vote.

Source: Li et al. 2017, section 4.3.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float


class Vote(NamedTuple):
    """Outcome of a majority vote: the class, and a mask of the frames that voted for it."""

    winner: int
    voters: Bool[np.ndarray, "frame"]


def majority_vote(logits: Float[np.ndarray, "frame cls"]) -> Vote:
    """Determine the class that is predicted for most frames.

    Each frame votes for the class with its largest score (the lower index if scores are equal). Ties between classes
    are broken by the larger mean score over their own voters, then by the lower index.

    Args:
        logits: scores of any kind per frame and class; at least one frame.

    Differs: the paper does not specify how ties are broken.

    Example:
        >>> majority_vote(np.array([[2.0, 1.0], [3.0, 0.0], [0.0, 9.0]]))
        Vote(winner=0, voters=array([ True,  True, False]))
    """
    frame_class = logits.argmax(axis=1)
    votes = np.bincount(frame_class, minlength=logits.shape[1])
    tied = np.flatnonzero(votes == votes.max())
    own_means = [logits[frame_class == c, c].mean(dtype=np.float64) for c in tied]
    winner = int(tied[np.argmax(own_means)])
    return Vote(winner, frame_class == winner)


def confident_vote(logits: Float[np.ndarray, "frame cls"]) -> tuple[int, float]:
    """Return the class of the majority vote, and its mean probability over the frames that voted for it.

    Args:
        logits: logits of a CNN per frame and class; at least one frame.

    Example:
        >>> confident_vote(np.array([[0.0, 0.0], [0.0, 0.0]]))
        (0, 0.5)
    """
    vote = majority_vote(logits)
    return vote.winner, float(softmax(logits[vote.voters])[:, vote.winner].mean())


def late_fusion(logits: Float[np.ndarray, "frame cls"]) -> Float[np.ndarray, "cls"]:
    """Score of a video: mean of the scores of the frames that voted for the majority class.

        score(V,c) = mean over F with argmax y(F) = ĉ of y_c(F)

    Its largest entry is always the majority class ĉ: in every averaged frame, the score of ĉ is larger than that of all
    lower indices and at least as large as that of higher ones. The sum is computed in float64 so that this holds
    despite rounding.

    Example:
        >>> late_fusion(np.array([[2.0, 1.0], [4.0, 0.0], [0.0, 9.0]]))  # the last frame votes for another class
        array([3. , 0.5])
    """
    return logits[majority_vote(logits).voters].mean(axis=0, dtype=np.float64)


def frame_average(logits: Float[np.ndarray, "frame cls"]) -> Float[np.ndarray, "cls"]:
    """Score of a video: mean of the scores of all frames. In the paper it is slightly worse than the vote.

    Example:
        >>> frame_average(np.array([[2.0, 1.0], [4.0, 0.0], [0.0, 8.0]]))
        array([2., 3.])
    """
    return logits.mean(axis=0, dtype=np.float64)


def mean_of_streams(
    first: Float[np.ndarray, "video cls"], second: Float[np.ndarray, "video cls"]
) -> Float[np.ndarray, "video cls"]:
    """Fuse two networks, such as one of frames and one of flow: mean of their class probabilities.

    Raises:
        ValueError: the scores are not probabilities.

    Source: Simonyan and Zisserman 2014, averaging of the two streams.
    """
    for scores in (first, second):
        if (scores < 0).any() or not np.allclose(scores.sum(axis=1), 1, atol=1e-3):
            raise ValueError("scores that are not probabilities")
    return (first + second) / 2


def softmax(logits: Float[np.ndarray, "frame cls"]) -> Float[np.ndarray, "frame cls"]:
    """Class probabilities of each frame, in float64 so that confident frames do not round to exactly 1.

    Example:
        >>> softmax(np.array([[0.0, 0.0], [0.0, np.log(3)]]))
        array([[0.5 , 0.5 ],
               [0.25, 0.75]])
    """
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    return exponentials / exponentials.sum(axis=1, keepdims=True)
