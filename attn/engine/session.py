"""Connection to Ray: join the cluster of RAY_ADDRESS, or start a local Ray.

A plain `ray.init()` is never used, because it joins any cluster that it finds. The price: a cluster is joined only if
RAY_ADDRESS is set (`ray job submit` sets it).
"""

import logging
import os
import socket
import sys

import ray
from ray._private.resource_and_label_spec import ResourceAndLabelSpec

from attn.engine.local_ray import start_local
from attn.engine.terminal import end_on_sigterm, say
from attn.errors import UsageError

_local: list[bool] = []
_step: list[bool] = []
CONNECT_TIMEOUT_S = 5.0
MOST_SHOWN = 400  # characters of a Ray message
WAY_OUT = "Start the cluster, or unset RAY_ADDRESS to use only this machine."


def start_ray(*, num_cpus: int | None = None, object_store_bytes: int | None = None) -> None:
    """Connect to Ray; does nothing if already connected.

    Output of Ray's workers stays in Ray's log files; the job logs everything that users need.

    Args:
        num_cpus: CPUs of a local Ray (default: all CPUs of the machine); ignored when joining a cluster.
        object_store_bytes: size of the object store of a local Ray, in bytes (default: Ray's default).

    Raises:
        UsageError: the cluster of RAY_ADDRESS cannot be reached, RAY_ADDRESS is the address of a job server, or Ray
            does not start on this machine.
    """
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        say("starting Ray on this machine")
        start_local(num_cpus, object_store_bytes)
        _local[:] = [True]
    else:
        _local.clear()
        _join(address)
    end_on_sigterm()  # again, because Ray installs a handler that prints stack traces and exits at once


def works_alone() -> bool:
    """Return whether `start_ray` would start a local Ray."""
    return not ray.is_initialized() and (os.environ.get("RAY_ADDRESS") or "local") == "local"


def works_in_place() -> bool:
    """Whether small jobs and trainings of one worker run in this process.

    They do unless RAY_ADDRESS is set: it names a cluster, or asks for a local Ray (`local`). In a step of a plan, which
    is a task of Ray, the driver decides.
    """
    if _step:
        return _step[0]
    return not os.environ.get("RAY_ADDRESS") and (bool(_local) or not ray.is_initialized())


def begin_step(*, in_place: bool) -> None:
    """Decide for this process, a Ray task that may have run another step before, whether it works in place.

    Args:
        in_place: run small jobs and trainings of one worker in this process, on all CPUs.
    """
    _step[:] = [in_place]
    if in_place and "torch" not in sys.modules:
        os.environ.pop("OMP_NUM_THREADS", None)  # set by Ray to the CPUs of the task, which asks for none


def this_machine() -> dict[str, float]:
    """CPUs and GPUs that Ray would detect on this machine, without starting Ray."""
    found = ResourceAndLabelSpec().resolve(is_head=True)
    return {"CPU": float(found.num_cpus or 0), "GPU": float(found.num_gpus or 0)}


def _join(address: str) -> None:
    _check_no_job_server(address)
    _check_port(address)
    say(f"joining the Ray cluster at {address}")
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except Exception as error:  # many types: another version, a missing token, a head that is shutting down
        why = " ".join(str(error).split())[:MOST_SHOWN].rstrip(".") or type(error).__name__
        raise UsageError(f"RAY_ADDRESS={address}: {why}. {WAY_OUT}") from error


def _check_no_job_server(address: str) -> None:
    """Check that RAY_ADDRESS is not a job server URL, which `ray job submit` would read from the same variable."""
    if address.startswith(("http://", "https://")):
        raise UsageError(
            f"RAY_ADDRESS={address}: address of a job server. Submit the job with `ray job submit …`, set RAY_ADDRESS "
            "to host:port of the head or to auto, or unset RAY_ADDRESS to use only this machine."
        )


def _check_port(address: str) -> None:
    """Check that the head accepts connections; Ray itself would retry for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise UsageError(f"RAY_ADDRESS={address}: does not answer ({error}). {WAY_OUT}") from error
