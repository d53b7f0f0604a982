"""Available memory of this machine or container."""

from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def available_bytes(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int:
    """Bytes available without swapping: the kernel's estimate, capped by what the container's limit leaves.

    Args:
        meminfo: meminfo file of the kernel.
        cgroup: folder of this process's cgroup, version 2. Without limit files in it, no limit applies.
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
    # Inactive file pages count as used, but the kernel drops them when memory is needed.
    droppable = dict(line.split() for line in stat.splitlines()).get("inactive_file", "0")
    return max(0, min(available, int(limit) - int(used) + int(droppable)))
