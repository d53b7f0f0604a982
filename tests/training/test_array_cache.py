"""Arrays that one process of a machine fills and all map, whatever happens to that process."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attn.errors import UsageError
from attn.training.array_cache import MANIFEST, Layout, cache_array

ROOT = Path(__file__).parents[2]
LAYOUT = Layout((5, 2, 3), np.float16)
VALUES = np.random.default_rng(0).random(LAYOUT.shape).astype(np.float16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "caches" / "key" / "values.bin"


def fill(values: np.ndarray) -> dict[str, Any]:
    values[:] = VALUES
    return {"made": "here"}


def entries(path: Path) -> set[str]:
    """Names in the folder of all caches."""
    return {entry.name for entry in path.parent.parent.iterdir()}


@pytest.mark.parametrize(
    ("shape", "dtype"), [((5, 2, 3), np.float16), ((4,), np.uint8), ((2, 3), np.float32), ((0, 7), np.float16)]
)
@pytest.mark.parametrize("in_pieces", [False, True])
def test_any_array_is_filled_once_and_then_mapped(
    path: Path, shape: tuple[int, ...], dtype: type, in_pieces: bool
) -> None:
    layout = Layout(shape, dtype, in_pieces)
    expected = np.random.default_rng(1).integers(0, 99, shape).astype(dtype)

    def filled(values: np.ndarray) -> dict[str, Any]:
        assert not values.any()
        values[:] = expected
        return {"made": "here"}

    first, again = cache_array(path, layout, filled), cache_array(path, layout, pytest.fail)
    for found in (first, again):
        np.testing.assert_array_equal(found.values, expected, strict=True)
        assert found.manifest == {"made": "here"}
        assert not found.values.flags.writeable
    assert path.stat().st_size == max(expected.nbytes, 1)
    assert entries(path) == {"key", ".key.lock"}


def test_a_stale_cache_is_filled_again(path: Path) -> None:
    cache_array(path, LAYOUT, lambda values: {"made": "before"})
    assert (
        cache_array(path, LAYOUT, fill, stale=lambda manifest: manifest == {"made": "before"}).manifest["made"]
        == "here"
    )
    assert cache_array(path, LAYOUT, pytest.fail, stale=lambda manifest: manifest["made"] != "here").manifest


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.with_name(MANIFEST).unlink(),
        lambda path: path.with_name(MANIFEST).write_text(""),
        lambda path: os.truncate(path, 10),
    ],
)
def test_a_cache_that_has_lost_something_is_filled_again(path: Path, harm: Callable[[Path], Any]) -> None:
    """Cleaners of temporary folders remove single files."""
    cache_array(path, LAYOUT, fill)
    harm(path)
    np.testing.assert_array_equal(cache_array(path, LAYOUT, fill).values, VALUES)
    np.testing.assert_array_equal(cache_array(path, LAYOUT, pytest.fail).values, VALUES)


def test_a_fill_that_fails_leaves_nothing(path: Path) -> None:
    def failing(values: np.ndarray) -> dict[str, Any]:
        raise UsageError("a: bad. Repair it.")

    with pytest.raises(UsageError, match=r"^a: bad\. Repair it\.$"):
        cache_array(path, LAYOUT, failing)
    assert entries(path) == {".key.lock"}


def test_a_machine_that_shares_the_folder_and_is_faster_wins(path: Path) -> None:
    def overtaken(values: np.ndarray) -> dict[str, Any]:
        cache_array(path.parents[2] / "other" / "key" / path.name, LAYOUT, fill)
        shutil.copytree(path.parents[2] / "other" / "key", path.parent)
        return {"made": "too late"}

    found = cache_array(path, LAYOUT, overtaken)
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.manifest == {"made": "here"}
    assert entries(path) == {"key", ".key.lock"}


def test_too_little_space_is_told_in_numbers_before_anything_is_filled(path: Path, tmp_path: Path) -> None:
    layout = Layout((shutil.disk_usage(tmp_path).free // 2 + 10**9,), np.float16)
    line = (
        rf"^cache {path.parent.parent}: [\d.]+ GB are free, but the cache needs [\d.]+ GB\. Give another folder [^\n]+$"
    )
    with pytest.raises(UsageError, match=line):
        cache_array(path, layout, pytest.fail)
    assert entries(path) == {".key.lock"}


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process can grow beyond 1 KB, as on a disk with a quota."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_space_is_reserved_before_anything_is_filled(path: Path, small_files: None) -> None:
    with pytest.raises(UsageError, match=r": File too large, but the cache needs 0\.0 GB\."):
        cache_array(path, Layout((1001,), np.uint8), pytest.fail)


def test_a_folder_that_cannot_exist_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=rf"^cache {tmp_path}/file/caches: Not a directory, but"):
        cache_array(tmp_path / "file" / "caches" / "key" / "values.bin", LAYOUT, fill)


WORKER = """
import sys, time
from pathlib import Path
import numpy as np
from attn.training.array_cache import Layout, cache_array

name, path, signals = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])

def fill(values):
    values[:] = 7
    (signals / f"{name} fills").touch()
    while not (signals / "go").exists():
        time.sleep(0.01)
    return {"made": name}

(signals / f"{name} starts").touch()
found = cache_array(path, Layout((2000, 3), np.float32), fill)
assert (found.values == 7).all()
print(found.manifest["made"])
"""


@pytest.mark.parametrize("killed", [False, True])
def test_of_two_processes_one_fills_and_the_other_waits_or_takes_over(path: Path, tmp_path: Path, killed: bool) -> None:
    first, second = (start(name, path, tmp_path) for name in ("first", "second"))
    try:
        wait(lambda: len(list(tmp_path.glob("* starts"))) == 2 and list(tmp_path.glob("* fills")))
        filler, other = (first, second) if (tmp_path / "first fills").exists() else (second, first)
        time.sleep(0.2)
        assert len(list(tmp_path.glob("* fills"))) == 1
        assert other.poll() is None
        if killed:
            filler.send_signal(signal.SIGKILL)
        (tmp_path / "go").touch()
        said = [process.communicate(timeout=60)[0].strip() for process in (filler, other)]
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
    names = ["first", "second"] if filler is first else ["second", "first"]
    assert said == (["", names[1]] if killed else [names[0], names[0]])
    assert len(list(tmp_path.glob("* fills"))) == (2 if killed else 1)
    assert entries(path) == {"key", ".key.lock"}


def start(name: str, path: Path, signals: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, name, str(path), str(signals)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def wait(condition: Callable[[], Any]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
