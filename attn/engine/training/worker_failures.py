"""What the end of a training means that Ray Train has given up: workers that died, or a fault of the loop."""

from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RayActorError, WorkerCrashedError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerHealthCheckTimeoutError
from torch.distributed import DistError

from attn.errors import UsageError

# A worker that does not answer is one that Ray ends.
_DEATHS = (RayActorError, NodeDiedError, OutOfMemoryError, WorkerCrashedError, WorkerHealthCheckTimeoutError)


def refusal_of_failures(error: WorkerGroupError, times: int) -> UsageError | None:
    """The line for the user where workers died and nothing else is to blame; None where the loop itself failed.

    Args:
        error: what Ray Train ended with.
        times: how often it ended so, this time included.
    """
    failures = [getattr(failure, "health_check_failure", failure) for failure in error.worker_failures.values()]
    deaths = [failure for failure in failures if _is_death(failure)]
    if not deaths or not all(_is_death(failure) or _lost_a_peer(failure) for failure in failures):
        return None
    return UsageError(
        f"the workers died {times} time{'s' if times > 1 else ''}, last because: {_first_line(deaths[0])}; "
        "see Ray's logs; the same command resumes from the last state"
    )


def _is_death(failure: Exception) -> bool:
    # An actor whose start failed is dead too, but of an error with a traceback.
    return isinstance(failure, _DEATHS) and not getattr(failure, "actor_init_failed", False)


def _lost_a_peer(failure: Exception) -> bool:
    """Whether this is how the death of one worker ends the others."""
    return isinstance(failure, DistError) or (isinstance(failure, RuntimeError) and "gloo" in str(failure))


def _first_line(death: Exception) -> str:
    """What Ray says of it, without that it is dead and who it was."""
    said = [line for line in str(death).splitlines() if line.strip() and not line.startswith("\t")]
    said = [line for line in said if line != ActorDiedError.BASE_ERROR_MSG] or said
    return said[0].rstrip(".")
