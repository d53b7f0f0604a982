"""Check of the flags of an actor pool. It needs no Ray, so a plan can make it before Ray is started."""

from attn.errors import UsageError


def check_pool(actors: tuple[int, int] | None, gpus_per_actor: float | None) -> None:
    """Check the flags of an actor pool, whatever the cluster has.

    Raises:
        UsageError: a number of GPUs is negative or not finite; the sizes are not a range.
    """
    if gpus_per_actor is not None and not 0 <= gpus_per_actor < float("inf"):
        raise UsageError(f"--gpus-per-actor {gpus_per_actor:g}: out of range. Give 0 for the CPU, or a number above 0.")
    if actors is not None and not 1 <= actors[0] <= actors[1]:
        low, high = actors
        raise UsageError(f"--actors {low} {high}: not a range. Give the minimum and the maximum number, at least 1.")
