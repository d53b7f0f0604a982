"""Detection of a CNN that predicts one class for all frames, or whose maps are all zero."""

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float

from attn.schema import LOGITS, MAPS
from attn.storage.store import VideoRows


class OneAnswer:
    """Running check that maps are not all zero and predicted classes are not all equal.

    Each column is checked only until it passes, in most stores with the first video. Columns that are not read are not
    checked. If all videos have one label, equal predictions are not reported, because they may be correct.

    Attributes:
        videos: number of videos checked so far.
    """

    def __init__(self) -> None:
        self.videos = 0
        self._labels: set[int] = set()
        self._frame_classes: set[int] = set()
        self._dark: bool | None = None  # None: no maps seen

    def see(self, rows: VideoRows, labels: Collection[int] = ()) -> None:
        """Check another video; `labels` are its class ids, if they are known."""
        self.videos += 1
        self._labels |= set(labels)
        if LOGITS in rows.tensors and len(self._frame_classes) < 2:
            self._frame_classes.update(_classes(rows.logits))
        if MAPS in rows.tensors and self._dark is not False:
            self._dark = not rows.maps.any()

    @property
    def refuted(self) -> bool:
        """True if all checks have passed, so that more videos are not needed."""
        return len(self._frame_classes) > 1 and self._dark is False

    def warnings(self, class_names: Sequence[str]) -> list[str]:
        """One line per failed check."""
        found = []
        if len(self._frame_classes) == 1 and len(self._labels) > 1:
            name = class_names[next(iter(self._frame_classes))]
            found.append(
                f"all frames of {self.videos} videos are predicted as {name}: the CNN does not distinguish the classes "
                "in these videos. Check the accuracy in its training report. Try --calibrate, or train it again with "
                "a lower --lr."
            )
        if self._dark:
            found.append(
                f"all maps of {self.videos} videos are zero, so methods that use maps cannot distinguish the classes. "
                "Check the report of the CNN's training, and train it again with a lower --lr."
            )
        return found


def _classes(logits: Float[np.ndarray, "frame cls"]) -> list[int]:
    return np.unique(logits.argmax(axis=1)).tolist()
