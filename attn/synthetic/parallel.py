"""Rendering of many items by several processes."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Result = TypeVar("Result")


def for_each(render: Callable[[int], Result], count: int, workers: int | None, chunk: int) -> list[Result]:
    """Return the results of `render` for the items 0 to count − 1, in order.

    Args:
        render: function that renders one item.
        count: number of items.
        workers: number of processes; 1 renders in this process. Default: one per CPU core.
        chunk: number of items that a process takes at a time. So few items are rendered in this process.
    """
    if workers == 1 or count <= chunk:
        return [render(item) for item in range(count)]
    # Forked children of a process with threads (torch, av) may hang; spawning them costs half a second.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(render, range(count), chunksize=chunk))
