"""Batches of a training that are made in a thread, each while the network learns from the one before."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


class Ahead(Generic[Batch]):
    """Batches by number, of which the next one is made in a thread meanwhile. At most two are in memory.

    Args:
        make: function that makes a batch; called in one thread, one batch at a time.
    """

    def __init__(self, make: Callable[[int], Batch]):
        self._make, self._thread = make, ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: dict[int, Future[Batch]] = {}

    def take(self, number: int) -> Batch:
        """Return a batch and begin with the next one."""
        batch = self._next.get(number) or self._thread.submit(self._make, number)
        self._next = {number + 1: self._thread.submit(self._make, number + 1)}
        return batch.result()

    def close(self) -> None:
        """Drop the next batch and end the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._next = {}
