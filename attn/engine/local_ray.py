"""Start of a local Ray, in a folder with a path short enough for its sockets.

If the start fails, all processes are stopped and the reason is reported in one line. Ray itself leaves the processes of
a failed start running, beside those of the next attempt.
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
"""Pattern of Ray's message if one of its processes has waited too long for another."""
# A job consists of a dozen mostly idle processes. Ray warns of too many processes beyond a multiple of this number,
# by default the number of CPUs; a machine with two CPUs would warn repeatedly.
PROCESSES_AT_ONCE = 16
# Longest path that Ray appends to its temporary folder: a socket, with a process ID of seven digits.
_SOCKET = "/ray/session_2000-01-01_00-00-00_000000_1000000/sockets/plasma_store.10"
_LONGEST_PATH = 103 if sys.platform == "darwin" else 107
MOST_TMPDIR = _LONGEST_PATH - len(_SOCKET)
"""Maximum length of the path of Ray's temporary folder, in bytes."""
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  Ray creates its own folder inside
_FATAL = re.compile(r" C \d+ \d+\] (?:\(\w+\) )?\S+: +(?:An unexpected system .* fix it\. )?(?:Check failed: )?(.+)")
_MOST_SHOWN = 200  # characters of a Ray message
_WAYS_OUT = (
    (r"timed out", "The machine is too busy. Run the same command when fewer programs are running"),
    (r"shm|object store|plasma|Bus error|signal 7\b", "Free memory in /dev/shm; in a container, raise --shm-size"),
    (r"signal 9\b|allocate memory", "Free memory, or run the job on a larger machine"),
    (r"No space|Disk quota", "Free disk space, or set RAY_TMPDIR to a folder with a short path on another disk"),
    (r"Errno|denied|Read-only", "Set RAY_TMPDIR to a writable folder with a short path"),
)


def start_local(num_cpus: int | None, object_store_bytes: int | None) -> None:
    """Start Ray on this machine only. A start that times out is retried once.

    Args:
        num_cpus: number of CPUs, or None for all CPUs of the machine.
        object_store_bytes: size of the object store, or None for Ray's default.

    Raises:
        UsageError: Ray does not start; all of its processes have been stopped.
    """
    # Otherwise Ray writes a token file to the home folder, and every later `ray start` requires that token.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    at_once = max(PROCESSES_AT_ONCE, os.cpu_count() or 1)
    os.environ.setdefault("RAY_worker_maximum_startup_concurrency", str(at_once))
    os.environ.pop("RAY_GCS_SERVER_PORT", None)  # set for a head node; a second server on that port would wait in vain
    settings = {"num_cpus": num_cpus, "object_store_memory": object_store_bytes, "include_dashboard": False}
    settings |= short_folders()
    why = _start(settings)
    if why is not None and TOO_SLOW.search(why):
        log.warning("Ray did not start within 30 s because the machine is very busy; retrying once")
        why = _start(settings)
    if why is not None:
        fact = "did not start within 30 s, twice" if TOO_SLOW.search(why) else "did not start"
        raise UsageError(f"Ray: {fact} ({why}). {_way_out(why)}.")


def short_folders() -> dict[str, str]:
    """Return `ray.init` settings with a short temporary folder if the path of the usual one is too long for sockets.

    Spilled objects still go to the folder that the user has chosen, because it may be the one with enough space.

    Raises:
        UsageError: none of the short folders is writable.
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
        f"{variable}={usual}: too long for Ray's sockets. Set RAY_TMPDIR to a path of at most {MOST_TMPDIR} bytes."
    )


def _start(settings: dict[str, Any]) -> str | None:
    """Start Ray. Return None on success, otherwise the reason for the failure as one line."""
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
    """Node whose start has failed. Only the stack frames of the traceback still refer to it."""
    held = (frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__))
    return next((each for each in held if isinstance(each, Node) and hasattr(each, "all_processes")), None)


def _reason(error: Exception, node: Node | None) -> str:
    """Reason from the log of the process that ended, if any; Ray itself only reports a timeout."""
    for kind, processes in node.all_processes.items() if node else ():
        code = processes[0].process.poll()
        if code:
            ended = f"its {kind} ended by signal {-code}" if code < 0 else f"its {kind} ended with exit code {code}"
            fatal = _fatal(Path(node.get_logs_dir_path()) / f"{kind}.err") if node else ""
            return f"{ended}{fatal and f': {fatal}'}"
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
    return "See Ray's logs in the newest folder session_… of its temporary folder"
