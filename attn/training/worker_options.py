"""Options of the workers of a training, which most trainings share; docstrings are the help texts of the flags."""

import dataclasses

from attn.errors import refuse_flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    workers: int = 1
    """Number of Ray Train workers. Any number learns the same."""
    cpus_per_worker: int | None = None
    """Maximum number of CPUs per worker (default: all CPUs of its machine, divided among the workers there)."""
    gpu: bool | None = None
    """Use one GPU per worker (default: if the cluster has a GPU)."""
    allow_untrained: bool = False
    """Exit with code 0 even if the training has learnt nothing."""
    allow_missing: bool = False
    """Train on the listed videos that the stores have, even if others are missing."""

    def check_workers(self) -> None:
        """Refuse numbers below 1.

        Raises:
            UsageError: a number is below 1.
        """
        for name in ("workers", "cpus_per_worker"):
            value = getattr(self, name)
            refuse_flag(name, value, "must be at least 1", value is not None and value < 1)
