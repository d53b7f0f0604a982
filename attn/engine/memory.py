"""How much memory this machine, or this container, can still give."""

from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def available_bytes(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int:
    """Bytes that can be taken without swapping: the kernel's estimate, and no more than the container's limit leaves.

    Args:
        meminfo: of the kernel.
        cgroup: version 2, of this process; without files of a limit there is none.
    """
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) * 1024
    try:
        limit, used, stat = (
            (cgroup / name).read_text().strip() for name in ("memory.max", "memory.current", "memory.stat")
        )
    except OSError:
        return available
    if limit == "max":
        return available
    # Pages of files that no one uses count as used, but go when room is wanted.
    droppable = dict(line.split() for line in stat.splitlines()).get("inactive_file", "0")
    return max(0, min(available, int(limit) - int(used) + int(droppable)))
