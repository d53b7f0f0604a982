"""Errors of Ray Train and their messages; test_fit.py kills real workers."""

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, OutOfMemoryError, RayTaskError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError, WorkerHealthCheckTimeoutError

from attn.engine.train.worker_failures import refusal_of_failures

GLOO = "[/third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:30482"
STARTED_BADLY = RayTaskError("__init__", "Traceback (most recent call last): ...", ValueError("a bug"))


def found(failure):
    """Wrap a failure like a health check of Ray Train."""
    return WorkerHealthCheckFailedError("A worker health check failed.\nWorker info: ...", failure=failure)


DEAD = found(ActorDiedError())


@pytest.mark.parametrize(
    ("failures", "said"),
    [
        ([DEAD, DEAD], "The actor died unexpectedly"),
        ([found(OutOfMemoryError("Task was killed: low on memory.\nMemory was 1 of 1 GB"))], "low on memory. See"),
        ([found(ActorUnavailableError("the network is gone", None))], "the network is gone"),
        (
            [WorkerHealthCheckTimeoutError("A check has been hanging.\nWorker info: ...")],
            "been hanging. See",
        ),
        ([RuntimeError(GLOO), DEAD], "The actor died unexpectedly"),
    ],
)
def test_deaths_are_one_line(failures, said):
    refused = str(refusal_of_failures(WorkerGroupError("...", dict(enumerate(failures))), 4))
    assert refused.startswith("the workers died 4 times, most recently because: ")
    assert said in refused
    assert refused.endswith(", then run the same command to resume from the last checkpoint.")
    assert "\n" not in refused


@pytest.mark.parametrize(
    "failures",
    [
        [],
        [ValueError("a bug")],
        [RuntimeError(GLOO)],
        [ValueError("a bug"), DEAD],
        [RuntimeError("a bug"), DEAD],
        [found(ActorDiedError(STARTED_BADLY))],
        [found(TypeError("what the loop reports cannot be pickled"))],
    ],
)
def test_what_else_went_wrong_is_left_to_ray(failures):
    assert refusal_of_failures(WorkerGroupError("...", dict(enumerate(failures))), 4) is None
