"""A store can be taken away at any time and by any number of tries; what else lies in its folder never is."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from attn.errors import UsageError
from attn.storage.failures import Failure
from attn.storage.filesystem import join
from attn.storage.ledger import PROGRESS, SUCCESS, Ledger
from attn.storage.manifest import Manifest
from attn.storage.writer import StoreWriter

FOREIGN = ("thesis.tex", "part-1.txt", "failures/notes.txt", "part-of-mine/a.parquet", ".thesis.tex.0a1b2c3d.tmp")


@pytest.fixture(params=["tmp_path", "s3"])
def full_store(request: pytest.FixtureRequest, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch]) -> Ledger:
    """A complete store with one of everything that a store can hold, in a folder with brackets in its name."""
    ledger = Ledger.at(join(str(request.getfixturevalue(request.param)), "a[1]"))
    ledger.begin(manifest)
    writer = StoreWriter(ledger.url, manifest.schema, part_bytes=1)
    writer.add(rows_of("a", 3))
    writer.add(rows_of("b", 3))
    writer.fail(Failure("c", "c.avi", "decode", "VideoError", "no frame", 1))
    writer.flush()
    (ledger.folder / "part-damaged.parquet").write_atomic(b"")
    ledger.done()
    for name in (PROGRESS, ".part-0.parquet.0a1b2c3d.tmp"):
        (ledger.folder / name).write_atomic(b"{}")
    ledger.finish({})
    return ledger


def files_in(ledger: Ledger) -> list[str]:
    return sorted(path.removeprefix(f"{ledger.folder.path}/") for path in ledger.folder.fs.find(ledger.folder.path))


def test_clear_removes_all_of_a_store_and_nothing_else(full_store: Ledger) -> None:
    assert len(files_in(full_store)) == 8
    for name in FOREIGN:
        (full_store.folder / name).write_atomic(b"years of work")
    full_store.clear()
    assert files_in(full_store) == sorted(FOREIGN)
    (full_store.folder / "failures/notes.txt").remove()
    with pytest.raises(UsageError, match="--overwrite removes only"):
        full_store.clear()


class Killed(BaseException):
    pass


def test_whatever_moment_clear_is_killed_the_next_one_goes_on(
    full_store: Ledger, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = full_store.folder.fs.rm_file
    for left in range(7, 0, -1):

        def remove_until(path: str, left: int = left) -> None:
            if len(files_in(full_store)) == left:
                raise Killed
            remove(path)

        monkeypatch.setattr(full_store.folder.fs, "rm_file", remove_until)
        with pytest.raises(Killed):
            full_store.clear()
        assert not (full_store.folder / SUCCESS).exists()
        full_store.check(manifest, overwrite=True)
    assert files_in(full_store) == ["manifest.json"]
    monkeypatch.setattr(full_store.folder.fs, "rm_file", remove)
    full_store.clear()
    assert files_in(full_store) == []
    full_store.check(manifest)


def test_the_current_folder_is_cleared_and_can_be_filled_again(
    tmp_path: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = Ledger.at(".")
    ledger.begin(manifest)
    (tmp_path / "failures").mkdir()
    ledger.clear()
    assert list(tmp_path.iterdir()) == []
    ledger.begin(manifest)
    assert ledger.manifest() == manifest


def test_a_run_killed_while_it_wrote_the_manifest_can_be_run_again(tmp_path: Path, manifest: Manifest) -> None:
    program = (
        "import os, signal, sys\n"
        "from attn.storage.location import Location\n"
        "with Location.at(sys.argv[1]).atomic_path() as scratch:\n"
        "    scratch.write_bytes(b'{')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "manifest.json")], check=False)
    assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
    ledger = Ledger.at(str(tmp_path))
    ledger.check(manifest)
    ledger.check(manifest, overwrite=True)
    ledger.clear()


def test_somebody_elses_hidden_file_is_no_leftover(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / ".thesis.tex.0a1b2c3d.tmp").write_text("years of work")
    with pytest.raises(UsageError, match="holds files but no attention store"):
        Ledger.at(str(tmp_path)).check(manifest)


def test_what_cannot_be_removed_is_named(full_store: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(full_store.folder.fs, "rm_file", refuse)
    with pytest.raises(UsageError, match="permission denied"):
        full_store.clear()
