"""Memory that is left, from files as the kernel writes them."""

import pytest

from attn.memory import available_bytes

MEMINFO = "MemTotal:       2000 kB\nMemFree:         100 kB\nMemAvailable:   1000 kB\n"


@pytest.fixture
def meminfo(tmp_path):
    path = tmp_path / "meminfo"
    path.write_text(MEMINFO)
    return path


def group(tmp_path, limit, used, stat="anon 5\ninactive_file 0\n"):
    for name, text in (("memory.max", limit), ("memory.current", used), ("memory.stat", stat)):
        (tmp_path / name).write_text(f"{text}\n")
    return tmp_path


def test_without_a_container_it_is_the_kernels_estimate(meminfo, tmp_path):
    assert available_bytes(meminfo, tmp_path / "none") == 1000 * 1024
    assert available_bytes(meminfo, group(tmp_path, "max", "12345")) == 1000 * 1024


@pytest.mark.parametrize(
    ("limit", "used", "droppable", "left"),
    [
        (500_000, 200_000, 0, 300_000),
        (500_000, 480_000, 400_000, 420_000),  # most of it is files that were read once
        (500_000, 600_000, 0, 0),
        (50_000_000, 0, 0, 1000 * 1024),
    ],
)
def test_a_container_leaves_what_its_limit_leaves(meminfo, tmp_path, limit, used, droppable, left):
    stat = f"anon 7\ninactive_anon 9\ninactive_file {droppable}\nactive_file 3"
    assert available_bytes(meminfo, group(tmp_path, limit, used, stat)) == left


def test_this_machine_has_some():
    assert available_bytes() > 2**20
