"""Cause of a training that Ray Train has given up: worker failures, or an error of the training loop."""

from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RayActorError, WorkerCrashedError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerHealthCheckTimeoutError
from torch.distributed import DistError

from attn.errors import UsageError

# Ray kills a worker that does not respond, so its timeout counts as a death.
_DEATHS = (RayActorError, NodeDiedError, OutOfMemoryError, WorkerCrashedError, WorkerHealthCheckTimeoutError)


def refusal_of_failures(error: WorkerGroupError, times: int) -> UsageError | None:
    """Return the error for the user if workers died for external reasons; None if the loop itself failed.

    Args:
        error: error of Ray Train.
        times: number of failures, including the last one.
    """
    failures = [getattr(failure, "health_check_failure", failure) for failure in error.worker_failures.values()]
    deaths = [failure for failure in failures if _is_death(failure)]
    if not deaths or not all(_is_death(failure) or _lost_a_peer(failure) for failure in failures):
        return None
    return UsageError(
        f"the workers died {times} time{'s' if times > 1 else ''}, most recently because: {_first_line(deaths[0])}. "
        "See Ray's logs, then run the same command to resume from the last checkpoint."
    )


def _is_death(failure: Exception) -> bool:
    # An actor that failed to start is dead too, but because of an exception, whose traceback is needed.
    return isinstance(failure, _DEATHS) and not getattr(failure, "actor_init_failed", False)


def _lost_a_peer(failure: Exception) -> bool:
    """Whether the worker failed because another worker died."""
    return isinstance(failure, DistError) or (isinstance(failure, RuntimeError) and "gloo" in str(failure))


def _first_line(death: Exception) -> str:
    """Return the first line of Ray's message that names the cause, without the generic text and the actor's details."""
    lines = [line for line in str(death).splitlines() if line.strip() and not line.startswith("\t")]
    lines = [line for line in lines if line != ActorDiedError.BASE_ERROR_MSG] or lines
    return lines[0].rstrip(".")
