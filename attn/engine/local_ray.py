"""Starts Ray on this machine: in a folder short enough for its sockets, and all of it or nothing.

A start that fails says why in one line. Ray itself forgets the node whose start failed, and leaves its processes
running beside those of the next try.
"""

import contextlib
import logging
import os
import re
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import ray
from ray._private.node import Node

from attn.errors import UsageError

log = logging.getLogger(__name__)

TOO_SLOW = re.compile("timed out", re.IGNORECASE)
"""In what Ray says of its processes, if one of them has waited for another in vain."""
# A job of ours is a dozen processes that mostly wait. Ray warns of too many from a multiple of this number on, by
# default that of the CPUs: a laptop of two would be told again and again.
PROCESSES_AT_ONCE = 16
# What Ray puts behind its temporary folder: the longest name of a socket, with a process id of seven digits.
_SOCKET = "/ray/session_2000-01-01_00-00-00_000000_1000000/sockets/plasma_store.10"
_LONGEST_PATH = 103 if sys.platform == "darwin" else 107
MOST_TMPDIR = _LONGEST_PATH - len(_SOCKET)
"""Bytes in the name of a temporary folder that Ray's sockets can lie in."""
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  Ray makes a folder of its own in it
_FATAL = re.compile(r" C \d+ \d+\] (?:\(\w+\) )?\S+: +(?:An unexpected system .* fix it\. )?(?:Check failed: )?(.+)")
_MOST_SHOWN = 200  # characters of a message of Ray's
_WAYS_OUT = (
    (r"timed out", "This machine is too busy: run the same command when less is running on it"),
    (r"shm|object store|plasma|Bus error|signal 7\b", "Free memory in /dev/shm; of a container, raise --shm-size"),
    (r"signal 9\b|allocate memory", "Free memory, or run the job on a larger machine"),
    (r"No space|Disk quota", "Free space there, or set RAY_TMPDIR to a short folder on another disk"),
    (r"Errno|denied|Read-only", "Set RAY_TMPDIR to a short folder that can be written"),
)


def start_local(num_cpus: int | None, object_store_bytes: int | None) -> None:
    """Starts Ray on this machine alone, on the second try if the first was too slow.

    Args:
        num_cpus: CPUs that it offers; None for those of the machine.
        object_store_bytes: memory for objects; None for Ray's choice.

    Raises:
        UsageError: Ray does not start; nothing of it is left running.
    """
    # Else Ray leaves a token file in the home folder, and a later `ray start` demands that token of everyone.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    at_once = max(PROCESSES_AT_ONCE, os.cpu_count() or 1)
    os.environ.setdefault("RAY_worker_maximum_startup_concurrency", str(at_once))
    os.environ.pop("RAY_GCS_SERVER_PORT", None)  # of a head; a second one on that port would wait for it in vain
    settings = {"num_cpus": num_cpus, "object_store_memory": object_store_bytes, "include_dashboard": False}
    settings |= short_folders()
    why = _start(settings)
    if why is not None and TOO_SLOW.search(why):
        log.warning("Ray has not started within its 30 s; this machine is very busy; trying once more")
        why = _start(settings)
    if why is not None:
        fact = "has not started within its 30 s, twice" if TOO_SLOW.search(why) else "does not start"
        raise UsageError(f"Ray: {fact} ({why}). {_way_out(why)}.")


def short_folders() -> dict[str, str]:
    """Ray's temporary folder, if the usual one is too long for sockets, as settings of `ray.init`.

    Objects that do not fit into memory still go to the folder that the user has chosen: it may be the one with space.

    Raises:
        UsageError: no folder is short enough and can be written.
    """
    variable = "RAY_TMPDIR" if os.environ.get("RAY_TMPDIR") else "TMPDIR"
    usual = os.environ.get(variable) or SHORT_FOLDERS[0]
    if len(os.fsencode(usual)) <= MOST_TMPDIR:
        return {}
    for folder in SHORT_FOLDERS:
        with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=folder):
            spill = {"object_spilling_directory": os.path.join(usual, "ray")} if os.path.isdir(usual) else {}
            return {"_temp_dir": os.path.join(folder, f"ray-{os.getuid()}"), **spill}
    raise UsageError(
        f"{variable}={usual}: too long for Ray's sockets. Set RAY_TMPDIR to a folder of {MOST_TMPDIR} bytes at most."
    )


def _start(settings: dict[str, Any]) -> str | None:
    """Why Ray has not started, in one line; None if it has."""
    try:
        ray.init(address="local", log_to_driver=False, logging_level=logging.WARNING, **settings)
    except Exception as error:
        node = _half_started(error)
        why = _reason(error, node)
        if node is not None:
            node.kill_all_processes(check_alive=False, allow_graceful=True, wait=True)
        ray.shutdown()
        return why
    return None


def _half_started(error: Exception) -> Node | None:
    """The node whose start an error broke off; only the frames that the error has passed still know it."""
    held = (frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__))
    return next((each for each in held if isinstance(each, Node) and hasattr(each, "all_processes")), None)


def _reason(error: Exception, node: Node | None) -> str:
    """Log of the process that ended, if one has: Ray then only says that it has waited in vain."""
    for kind, processes in node.all_processes.items() if node else ():
        code = processes[0].process.poll()
        if code:
            ended = f"its {kind} ended by signal {-code}" if code < 0 else f"its {kind} ended with exit code {code}"
            said = _fatal(Path(node.get_logs_dir_path()) / f"{kind}.err") if node else ""
            return f"{ended}{said and f': {said}'}"
    return _line(str(error) or type(error).__name__)


def _fatal(log_file: Path) -> str:
    try:
        found = _FATAL.search(log_file.read_text(errors="replace"))
    except OSError:
        return ""
    return _line(found[1]) if found else ""


def _line(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "").strip().rstrip(".")
    return first if len(first) <= _MOST_SHOWN else f"{first[:_MOST_SHOWN]}…"


def _way_out(why: str) -> str:
    for pattern, way_out in _WAYS_OUT:
        if re.search(pattern, why, re.IGNORECASE):
            return way_out
    return "Ray's logs say more: look into the newest folder session_… of its temporary folder"
