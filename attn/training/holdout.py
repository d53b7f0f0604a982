"""Deterministic choice of the images held out for validation, equal on all machines and in all runs."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int


def hold_out(
    names: Sequence[str], labels: Int[np.ndarray, "image"], *, fraction: float, seed: int
) -> Bool[np.ndarray, "image"]:
    """Mask of the held-out images, a random share of each class.

    Images are ranked by a hash of seed and name. The choice is therefore independent of the order of a listing and of
    the folder's location, and an added or removed image moves at most one other between the two sets. The price: a
    renamed image may move, too.

    Args:
        names: unique names of the images, relative to their folder.
        labels: class ids of the images.
        fraction: share of each class to hold out, above 0 and below 1; rounded, with at least one image in each set.
            The image of a class with only one is used for training.
        seed: seed of the choice.

    Source: Li et al. 2017, section 4.2 (a random 30 %).
    """
    ranks = np.array([hashlib.sha256(f"{seed}/{name}".encode()).hexdigest() for name in names])
    held = np.zeros(len(names), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = int(np.clip(round(fraction * len(members)), min(1, len(members) - 1), len(members) - 1))
        held[members[np.argsort(ranks[members])[:count]]] = True
    return held
