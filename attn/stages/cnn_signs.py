"""Signs that a CNN whose maps and logits are in a store tells nothing apart: maps are zero, or frames all of one class.

Such a store reads like any other, and every method that is scored on it comes out at chance.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from attn.schema import LOGITS, MAPS


class CnnSigns:
    """Watches the columns of some videos go by; costs one pass over their numbers at most."""

    def __init__(self) -> None:
        self._classes: set[int] = set()
        self._maps_seen = self._maps_alive = False

    def add(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Takes note of the columns of one video.

        Args:
            tensors: by name; `maps` [frame, cls, row, col] and `logits` [frame, cls] are looked at if they are there.
        """
        if LOGITS in tensors and len(self._classes) < 2:
            self._classes.update(np.unique(tensors[LOGITS].argmax(axis=1)).tolist())
        if MAPS in tensors and not self._maps_alive:
            self._maps_seen, self._maps_alive = True, bool(tensors[MAPS].any())

    def texts(self, *, class_names: Sequence[str]) -> list[str]:
        """A line for each sign; supposes that the videos are of more than one class."""
        again = "look at the report of its training, and train it again with --recipe steady"
        found = []
        if len(self._classes) == 1:
            found.append(f"the CNN takes every frame for {class_names[min(self._classes)]}; {again}")
        if self._maps_seen and not self._maps_alive:
            found.append(f"all maps of the CNN are zero; {again}")
        return found
