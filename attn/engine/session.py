"""One way to start Ray: join the cluster that RAY_ADDRESS names, else start Ray on this machine alone.

Never a bare `ray.init()`: that joins whatever cluster it finds. The price: a cluster is joined only when asked for
(`ray job submit` asks by itself, through RAY_ADDRESS).
"""

import logging
import os
import socket
from typing import Any

import ray

from attn.engine.cli import end_on_sigterm
from attn.errors import UsageError

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
TOO_SLOW = "timed out during startup"
# A job of ours is a dozen processes that mostly wait. Ray warns of too many from a multiple of this number on, by
# default that of the CPUs: a laptop of two would be told again and again.
PROCESSES_AT_ONCE = 16
WAY_OUT = "start that cluster, or unset RAY_ADDRESS to work on this machine alone"


def start_ray(*, num_cpus: int | None = None, object_store_bytes: int | None = None) -> None:
    """Connects to Ray; does nothing where that was done already.

    What Ray's workers print stays in Ray's log files: a job says itself what its user should know.

    Args:
        num_cpus: CPUs that a local Ray offers (default: those of the machine). A cluster that is joined has its own.
        object_store_bytes: memory for the objects of a local Ray, in bytes (default: Ray's choice).

    Raises:
        UsageError: RAY_ADDRESS names no cluster, or one that cannot be reached, or the job server of one.
    """
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        # Else Ray leaves a token file in the home folder, and a later `ray start` demands that token of everyone.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        at_once = max(PROCESSES_AT_ONCE, os.cpu_count() or 1)
        os.environ.setdefault("RAY_worker_maximum_startup_concurrency", str(at_once))
        local = {"num_cpus": num_cpus, "object_store_memory": object_store_bytes, "include_dashboard": False}
    else:
        _check_no_job_server(address)
        _check_port(address)
        local = {}
    try:
        _init(address, local)
    except (ConnectionError, ValueError) as error:
        raise UsageError(f"RAY_ADDRESS={address}: {str(error).rstrip('.')}; {WAY_OUT}") from error
    end_on_sigterm()  # again: Ray's own handler prints stack traces and ends the process where it stands


def _init(address: str, local: dict[str, Any]) -> None:
    """Twice if need be: Ray gives its own processes 30 s, which is too little on a machine that is very busy."""
    for tries_left in (1, 0):
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **local)
            return
        except Exception as error:
            if not (tries_left and TOO_SLOW in str(error)):
                raise
            log.warning("Ray has not started within its 30 s; this machine is very busy; trying once more")
            ray.shutdown()


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
