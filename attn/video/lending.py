"""Images that stay in shared memory while they are used, and the knowing when they no longer are."""

import collections
import weakref
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from attn.video.channel import MessageError
from attn.video.chunks import Shape
from attn.video.slot import Slot


class SlotLender:
    """Hands out the images of filled slots without a copy, as long as few are out.

    Args:
        slots: shared with the process that fills them.
        most: slots that may be out at a time; the others must suffice for the filling to go on.
    """

    def __init__(self, slots: Sequence[Slot], most: int):
        self._slots, self._most = slots, most
        self._out: set[int] = set()
        self._returned: collections.deque[int] = collections.deque()

    def images(self, slot: int, shape: Shape) -> UInt8[np.ndarray, "frame row col 3"]:
        """The images in a slot: the slot itself, out until the last view of them is gone; or a copy.

        Raises:
            MessageError: no slot that can have been filled, or it holds less.
        """
        self._check(slot)
        try:
            images = self._slots[slot].filled(shape)
        except (ValueError, OSError) as error:  # a mapping longer than its file
            raise MessageError("images larger than their slot") from error
        if len(self._out) >= self._most:
            copied = images.copy()
            self.drop(slot)
            return copied
        self._out.add(slot)
        # every view of an array that lies in foreign memory keeps that array alive, not just the memory
        weakref.finalize(images, self._take_back, slot).atexit = False
        return images

    def drop(self, slot: int) -> None:
        """Gives back a slot whose images no one wants.

        Raises:
            MessageError: no slot that can have been filled.
        """
        self._check(slot)
        self._returned.append(slot)

    def returned(self) -> tuple[int, ...]:
        """Slots that came back since the last call."""
        return tuple(self._returned.popleft() for _ in range(len(self._returned)))

    def _check(self, slot: int) -> None:
        """Only slots that are neither out nor on their way back are the filler's."""
        if slot not in range(len(self._slots)) or slot in self._out or slot in self._returned:
            raise MessageError("a slot that was not free")

    def _take_back(self, slot: int) -> None:
        """Runs in whatever thread drops the last view, at any moment: one step on each container, no lock."""
        self._out.discard(slot)
        self._returned.append(slot)
