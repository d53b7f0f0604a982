"""Where the state of a training goes after every look, and where it comes from at the start."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import ray.train

from attn.errors import UsageError
from attn.storage.filesystem import join, open_filesystem, read_text, storage_errors, write_atomic
from attn.storage.listing import names_in

PREFIX = "attn-checkpoint-"
Save = Callable[[Path], None]


class Keeper(Protocol):
    """Keeps the newest state of one worker's training."""

    def restored(self) -> contextlib.AbstractContextManager[Path | None]:
        """A folder with the state that was kept; None where none was."""
        ...

    def keep(self, row: dict[str, Any], save: Save) -> None:
        """Takes a new state.

        Args:
            row: metrics of the look.
            save: writes the state into an empty folder.
        """
        ...


class RayTrainKeeper:
    """Hands the states to Ray Train: the first worker's, while the others wait until it is kept.

    Args:
        rank: of this worker.
    """

    def __init__(self, rank: int):
        self._rank = rank

    @contextlib.contextmanager
    def restored(self) -> Iterator[Path | None]:
        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            yield None
            return
        with checkpoint.as_directory() as name:
            yield Path(name)

    def keep(self, row: dict[str, Any], save: Save) -> None:
        with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
            checkpoint = None
            if self._rank == 0:
                save(Path(name))
                checkpoint = ray.train.Checkpoint.from_directory(name)
            ray.train.report(row, checkpoint=checkpoint)


class FolderKeeper:
    """Keeps the states in a folder, local or on S3, but not more often than every few seconds.

    Each state has a folder of its own; `newest.txt`, written last, says which one counts. What is lost by a kill is
    done again, and the same.

    Args:
        url: of the folder; it need not exist.
        every_s: seconds between two states that are written.
    """

    NEWEST = "newest.txt"

    def __init__(self, url: str, *, every_s: float = 10.0):
        self._url, self._every_s = url, every_s
        self._kept_s = time.monotonic()

    @contextlib.contextmanager
    def restored(self) -> Iterator[Path | None]:
        newest = self._newest()
        if newest is None:
            yield None
            return
        fs, path = open_filesystem(join(self._url, newest))
        with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
            with storage_errors(self._url):
                fs.get(path.rstrip("/") + "/", f"{name}/", recursive=True)
            yield Path(name) if any(Path(name).iterdir()) else None

    def keep(self, row: dict[str, Any], save: Save) -> None:
        if time.monotonic() - self._kept_s < self._every_s:
            return
        before, name = self._newest(), f"update-{row['update']:09d}"
        if name == before:
            return
        fs, path = open_filesystem(self._url)
        with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
            save(Path(folder))
            for file in sorted(Path(folder).iterdir()):
                write_atomic(fs, join(path, name, file.name), file.read_bytes())
        write_atomic(fs, join(path, self.NEWEST), name.encode())
        with storage_errors(self._url):
            # Newer ones are of another process that is not dead yet, or not yet alone.
            for other in names_in(fs, path):
                if other.startswith("update-") and other < name:
                    fs.rm(join(path, other), recursive=True)
        self._kept_s = time.monotonic()

    def _newest(self) -> str | None:
        fs, path = open_filesystem(join(self._url, self.NEWEST))
        with storage_errors(self._url):
            if not fs.exists(path):
                return None
        name = read_text(fs, path)
        if not name.startswith("update-") or "/" in name:
            raise UsageError(f"{join(self._url, self.NEWEST)} is damaged; remove {self._url}")
        return name
