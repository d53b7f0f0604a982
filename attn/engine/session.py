"""One way to start Ray: join the cluster that RAY_ADDRESS names, else start Ray on this machine alone.

Never a bare `ray.init()`: that joins whatever cluster it finds. The price: a cluster is joined only when asked for
(`ray job submit` asks by itself, through RAY_ADDRESS).
"""

import logging
import os
import socket

import ray
from ray._private.resource_and_label_spec import ResourceAndLabelSpec

from attn.engine.cli import end_on_sigterm, say
from attn.engine.local_ray import start_local
from attn.errors import UsageError

_in_place: list[bool] = []
CONNECT_TIMEOUT_S = 5.0
MOST_SHOWN = 400  # characters of a message of Ray's
WAY_OUT = "start that cluster, or unset RAY_ADDRESS to work on this machine alone"


def start_ray(*, num_cpus: int | None = None, object_store_bytes: int | None = None) -> None:
    """Connects to Ray; does nothing where that was done already.

    Prints of Ray's workers stay in Ray's log files: a job says itself what its user should know.

    Args:
        num_cpus: CPUs that a local Ray offers (default: those of the machine). A cluster that is joined has its own.
        object_store_bytes: memory for the objects of a local Ray, in bytes (default: Ray's choice).

    Raises:
        UsageError: RAY_ADDRESS names no cluster, or one that cannot be reached, or the job server of one; or Ray does
            not start on this machine.
    """
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        say("starting Ray on this machine")
        start_local(num_cpus, object_store_bytes)
        _in_place[:] = [True]
    else:
        _in_place.clear()
        _join(address)
    end_on_sigterm()  # again: Ray's own handler prints stack traces and ends the process where it stands


def works_alone() -> bool:
    """Whether `start_ray` would start Ray on this machine."""
    return not ray.is_initialized() and (os.environ.get("RAY_ADDRESS") or "local") == "local"


def trains_in_place() -> bool:
    """Whether a training of one worker runs in this process: no cluster is joined, or this is a step of a plan."""
    return bool(_in_place) if ray.is_initialized() else works_alone()


def train_in_place() -> None:
    """Let trainings of one worker run in this process, a task of Ray that was given their resources."""
    _in_place[:] = [True]


def this_machine() -> dict[str, float]:
    """CPUs and GPUs that Ray would find here, without starting it."""
    found = ResourceAndLabelSpec().resolve(is_head=True)
    return {"CPU": float(found.num_cpus or 0), "GPU": float(found.num_gpus or 0)}


def _join(address: str) -> None:
    _check_no_job_server(address)
    _check_port(address)
    say(f"joining the Ray cluster at {address}")
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except Exception as error:  # of many kinds: another version, a token that is missing, a head that is going down
        why = " ".join(str(error).split())[:MOST_SHOWN].rstrip(".") or type(error).__name__
        raise UsageError(f"RAY_ADDRESS={address}: {why}; {WAY_OUT}") from error


def _check_no_job_server(address: str) -> None:
    """`ray job submit` reads RAY_ADDRESS too, but wants another address in it than a job that runs by itself."""
    if address.startswith(("http://", "https://")):
        raise UsageError(
            f"RAY_ADDRESS={address} is the address of a job server: hand the job to it with `ray job submit …`, or "
            f"unset RAY_ADDRESS to work on this machine alone, or set it to host:port of the head, or to auto"
        )


def _check_port(address: str) -> None:
    """Ray itself tries for minutes; a head that does not answer at once is not there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise UsageError(f"RAY_ADDRESS={address} does not answer ({error}); {WAY_OUT}") from error
