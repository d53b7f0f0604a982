"""Images that stay in shared memory while they are in use, with tracking of when they no longer are."""

import collections
import weakref
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from attn.video.chunks import Shape
from attn.video.sandbox.channel import MessageError
from attn.video.sandbox.slot import Slot


class SlotLender:
    """Lender of the images in filled slots, without a copy as long as few slots are lent.

    Args:
        slots: slots shared with the process that fills them.
        most: number of slots that may be lent at a time; the others must be enough for that process to continue.
    """

    def __init__(self, slots: Sequence[Slot], most: int):
        self._slots, self._most = slots, most
        self._out: set[int] = set()
        self._returned: collections.deque[int] = collections.deque()

    def images(self, slot: int, shape: Shape) -> UInt8[np.ndarray, "frame row col 3"]:
        """Return the images in a slot: its memory, lent until the last view of it is gone, or a copy.

        Raises:
            MessageError: the slot cannot have been filled, or holds fewer bytes.
        """
        self._check(slot)
        try:
            images = self._slots[slot].filled(shape)
        except (ValueError, OSError) as error:  # the mapping would be longer than its file
            raise MessageError("images larger than their slot") from error
        if len(self._out) >= self._most:
            copied = images.copy()
            self.drop(slot)
            return copied
        self._out.add(slot)
        # A view of an array that does not own its memory keeps the array alive, not only the memory.
        weakref.finalize(images, self._take_back, slot).atexit = False
        return images

    def drop(self, slot: int) -> None:
        """Give back a slot whose images are not needed.

        Raises:
            MessageError: the slot cannot have been filled.
        """
        self._check(slot)
        self._returned.append(slot)

    def returned(self) -> tuple[int, ...]:
        """Return the slots that became free since the last call."""
        return tuple(self._returned.popleft() for _ in range(len(self._returned)))

    def _check(self, slot: int) -> None:
        """Raise MessageError unless the other process may have filled the slot: neither lent nor just returned."""
        if slot not in range(len(self._slots)) or slot in self._out or slot in self._returned:
            raise MessageError("a slot that was not free")

    def _take_back(self, slot: int) -> None:
        """Mark a slot as free. This runs in any thread, at any moment: one step per container, no lock."""
        self._out.discard(slot)
        self._returned.append(slot)
