"""Cache of the values used most recently, bounded by their bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Cache that any number of threads may use. The value used longest ago leaves first.

    Args:
        most_bytes: bytes of all values; a value larger than that is not kept.
        size_of: returns the bytes of a value.
    """

    def __init__(self, most_bytes: int, size_of: Callable[[Value], int]):
        self._most_bytes, self._size_of = most_bytes, size_of
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock, self._bytes = threading.Lock(), 0

    @property
    def bytes(self) -> int:
        """Bytes of all values."""
        return self._bytes

    def get(self, key: Hashable) -> Value | None:
        """Return a value; None if it is not in the cache."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, value: Value) -> None:
        """Keep a value, and drop others until all fit."""
        size = self._size_of(value)
        with self._lock:
            _, before = self._values.pop(key, (None, 0))
            self._bytes -= before
            if size > self._most_bytes:
                return
            self._values[key] = (value, size)
            self._bytes += size
            while self._bytes > self._most_bytes:
                _, (_, dropped) = self._values.popitem(last=False)
                self._bytes -= dropped

    def get_or(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return a value, made first if it is not in the cache. Two threads that ask at once may both make it."""
        found = self.get(key)
        if found is None:
            self.put(key, found := make())
        return found
