"""A CNN that gives one answer to everything, noticed while its store is read."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from attn.schema import LOGITS, MAPS
from attn.storage.store import VideoRows


class OneAnswer:
    """Running check of labelled videos: has any map an entry above zero, has any two frames' class differed?

    A tensor is looked at only until it has spoken against the suspicion, with most stores in the first video; columns
    that were not read are not judged. Videos of one class alone may all get one class, and rightly so.

    Attributes:
        videos: seen so far.
    """

    def __init__(self) -> None:
        self.videos = 0
        self._labels: set[int] = set()
        self._frame_classes: set[int] = set()
        self._dark: bool | None = None  # None: no maps seen

    def see(self, rows: VideoRows, label: int | None) -> None:
        """Takes in one more video, of a class that a list names; None if nothing names it."""
        self.videos += 1
        self._labels |= set() if label is None else {label}
        if LOGITS in rows.tensors and len(self._frame_classes) < 2:
            self._frame_classes.update(_classes(rows.logits))
        if MAPS in rows.tensors and self._dark is not False:
            self._dark = not rows.maps.any()

    @property
    def refuted(self) -> bool:
        """Whether no more videos are needed: nothing is suspicious any more."""
        return len(self._frame_classes) > 1 and self._dark is False

    def warnings(self, class_names: Sequence[str]) -> list[str]:
        """One line for each suspicion that no video has spoken against."""
        found = []
        if len(self._frame_classes) == 1 and len(self._labels) > 1:
            name = class_names[next(iter(self._frame_classes))]
            found.append(
                f"every frame of {self.videos} videos gets the class {name}: the CNN has not learnt these classes, or "
                "not as these videos show them. See what its training reports of its accuracy; try --calibrate, or "
                "train it again with a lower --lr."
            )
        if self._dark:
            found.append(
                f"all maps of {self.videos} videos are zero: no place speaks for any class, and methods that read maps "
                "tell nothing apart. See whether the CNN's training ended well, and train it again with a lower --lr."
            )
        return found


def _classes(logits: Float[np.ndarray, "frame cls"]) -> list[int]:
    return np.unique(logits.argmax(axis=1)).tolist()
