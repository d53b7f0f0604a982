"""Which images are held out for validation: the same ones on every machine and in every run."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int


def hold_out(
    names: Sequence[str], labels: Int[np.ndarray, "image"], *, fraction: float, seed: int
) -> Bool[np.ndarray, "image"]:
    """True for a random share of each class.

    Images are ranked by a hash of seed and name, so neither the order of a listing nor where the folder lies
    matters, and an image that is added or spoilt moves at most one other across the border. The price: a renamed
    image may change sides.

    Args:
        names: of the images, unique, relative to their folder.
        labels: their class ids.
        fraction: of each class to hold out, above 0 and below 1; rounded, but one image at least on either side. A
            class of one image is trained on.
        seed: another seed, another choice.

    Source: Li et al. 2017, section 4.2 (a random 30 %).
    """
    ranks = np.array([hashlib.sha256(f"{seed}/{name}".encode()).hexdigest() for name in names])
    held = np.zeros(len(names), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = int(np.clip(round(fraction * len(members)), min(1, len(members) - 1), len(members) - 1))
        held[members[np.argsort(ranks[members])[:count]]] = True
    return held
