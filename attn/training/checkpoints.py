"""Checkpoints of a run: saved after each validation or epoch, restored from the newest one whose checksums match.

Each checkpoint is a folder whose checksums are written last. A checkpoint without checksums is incomplete, one that
does not match them is damaged. In both cases the previous checkpoint is used, so two are kept. Ray Train's own
checkpoints have no checksums and no fallback, and a truncated record of all checkpoints ends the training.
"""

import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeVar

from attn.errors import UsageError
from attn.storage.damage import disk_fails
from attn.storage.filesystem import join
from attn.storage.listing import names_in, remove_tree
from attn.storage.location import Location
from attn.training.group import Group

SUMS, PREFIX = "sums.json", "state-"
Files = dict[str, bytes]
"""Files of a checkpoint: name → content."""
MakeFiles = Callable[[], Iterable[tuple[str, bytes]]]
"""Function that yields the files of a checkpoint one by one, so that not all are in memory at once."""
Value = TypeVar("Value")


class Checkpoint(NamedTuple):
    """Checkpoint whose checksums match."""

    name: str
    files: Files


class Checkpoints(Protocol):
    """Checkpoints of a training, as one worker sees them."""

    damaged: list[str]
    """One line for each newer checkpoint that `restore` skipped because it is damaged or incomplete."""

    def restore(self) -> Files | None:
        """Return the files of the newest intact checkpoint; None if no checkpoint exists.

        Raises:
            UsageError: all checkpoints are damaged, or they cannot be read.
        """
        ...

    def save(self, number: int, row: dict[str, Any], make_files: MakeFiles) -> None:
        """Save a checkpoint.

        Args:
            number: number of the update or epoch; larger than that of the previous checkpoint.
            row: metrics of the validation.
            make_files: function that yields the files.

        Raises:
            UsageError: the checkpoint cannot be written; earlier checkpoints are unchanged.
        """
        ...


class _DamagedError(Exception):
    """A file of a checkpoint does not match its checksum, is missing or is unreadable."""


class AllDamagedError(UsageError):
    """All checkpoints are damaged."""


class _IncompleteError(Exception):
    """A checkpoint has no checksums, because saving it was interrupted."""


class CheckpointFolder:
    """Checkpoints in a folder, local or on S3, saved at most every few seconds.

    A killed training repeats the steps since its last checkpoint, with the same results.

    Args:
        url: URL of the folder; it need not exist.
        every_s: minimum number of seconds between two checkpoints.
    """

    def __init__(self, url: str, *, every_s: float = 10.0):
        self.url, self._every_s = url, every_s
        self._saved_s = time.monotonic()
        self._good = ""
        self.damaged: list[str] = []

    def restore(self) -> Files | None:
        """Return the files of the newest intact checkpoint."""
        state = self.newest()
        return state and state.files

    def newest(self) -> Checkpoint | None:
        """Return the newest intact checkpoint; None if no complete one exists.

        Raises:
            AllDamagedError: complete checkpoints exist, and all are damaged.
        """
        complete, skipped = 0, dict[str, str]()
        for name in sorted(self._names(), reverse=True):
            try:
                state = self.read(name)
            except _DamagedError as error:
                complete += 1
                skipped[name] = f"{join(self.url, name)}: damaged ({error})"
            except _IncompleteError as error:
                skipped[name] = f"{join(self.url, name)}: incomplete ({error})"
            else:
                # A skipped checkpoint with the same number is not reported: no progress is lost, and after the last
                # step no later save would remove it.
                self.damaged += [line for other, line in skipped.items() if _numbered(other) > _numbered(name)]
                return state
        self.damaged += skipped.values()
        if complete:
            raise AllDamagedError(
                f"{'; '.join(self.damaged)}. No other checkpoint is left to resume from. Restore one from a backup, or "
                f"remove {self.url} to train from scratch."
            )
        return None

    def read(self, name: str) -> Checkpoint:
        """Read one checkpoint and verify its checksums.

        Raises:
            UsageError: the checkpoint cannot be read.
        """
        folder = Location.at(self.url) / name
        with folder.errors():
            try:
                sums = _parsed(_read(folder / SUMS))
            except FileNotFoundError as error:
                raise _IncompleteError(f"{SUMS} is missing") from error
            files = {file: _checked(folder / file, digest) for file, digest in sums.items()}
        self._good = name
        return Checkpoint(name, files)

    def save(self, number: int, row: dict[str, Any], make_files: MakeFiles) -> None:
        if time.monotonic() - self._saved_s >= self._every_s:
            self.write(number, make_files)

    def write(self, number: int, make_files: MakeFiles) -> None:
        """Write a checkpoint, then remove older ones except the last intact one."""
        # A random suffix, because a process that is still dying may write the same checkpoint at the same time.
        name = f"{PREFIX}{number:09d}-{secrets.token_hex(4)}"
        try:
            self._write(name, make_files)
        except UsageError:
            with contextlib.suppress(Exception):  # free the space of the incomplete checkpoint
                self._remove(name)
            raise
        for other in self._names():
            # Newer checkpoints belong to another process that is still running.
            if other not in (name, self._good) and _numbered(other) <= _numbered(name):
                self._remove(other)
        self._good, self._saved_s = name, time.monotonic()

    def _write(self, name: str, make_files: MakeFiles) -> None:
        folder = Location.at(self.url) / name
        sums = {}
        for file, data in make_files():
            (folder / file).write_atomic(data)
            sums[file] = hashlib.sha256(data).hexdigest()
        (folder / SUMS).write_atomic(json.dumps(sums, indent=1).encode())

    def _names(self) -> list[str]:
        folder = Location.at(self.url)
        with folder.errors():
            return [name for name in names_in(folder) if name.startswith(PREFIX)]

    def _remove(self, name: str) -> None:
        folder = Location.at(self.url) / name
        with folder.errors(), contextlib.suppress(FileNotFoundError):  # another process was faster
            remove_tree(folder)


def _numbered(name: str) -> str:
    """Name without the random suffix; sorts by number."""
    return name[: len(PREFIX) + 9]


def _read(file: Location) -> bytes:
    """Read a file; an I/O error of a failing disk counts as damage."""
    try:
        return file.read_bytes()
    except OSError as error:
        if disk_fails(error, file):
            raise _DamagedError(f"{file.name} cannot be read: {error.strerror}") from error
        raise


def _parsed(data: bytes) -> dict[str, str]:
    try:
        sums = json.loads(data)
        return {str(file): str(digest) for file, digest in sums.items()}
    except (ValueError, AttributeError) as error:
        raise _DamagedError(f"{SUMS} is not a list of checksums") from error


def _checked(file: Location, digest: str) -> bytes:
    try:
        data = _read(file)
    except FileNotFoundError as error:
        raise _DamagedError(f"{file.name} is missing") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise _DamagedError(f"{file.name} does not match its checksum")
    return data


class GroupCheckpoints:
    """Checkpoints of a group of workers: the first worker writes them, and all workers read the same one.

    Args:
        folder: folder of the checkpoints.
        group: this worker and its group.
        report: callback that receives the metrics once all workers know that the checkpoint is written.
    """

    def __init__(self, folder: CheckpointFolder, group: Group, report: Callable[[dict[str, Any]], None]):
        self._folder, self._group, self._report = folder, group, report
        self.damaged: list[str] = []

    def restore(self) -> Files | None:
        """Return the files of the newest intact checkpoint, the same on all workers."""
        first, found, why = self._group.rank == 0, None, None
        if first:
            found, why = _attempt(self._folder.newest)
        name, why, self.damaged = self._group.gather((found and found.name, why, self._folder.damaged))[0]
        if why is None and name is not None and not first:
            found, why = _attempt(lambda: self._folder.read(name))
        self._agree(why)
        return found and found.files

    def save(self, number: int, row: dict[str, Any], make_files: MakeFiles) -> None:
        why = None
        if self._group.rank == 0:
            _, why = _attempt(lambda: self._folder.save(number, row, make_files))
        self._agree(why)  # all workers wait until the checkpoint is written
        self._report(row)

    def _agree(self, why: str | None) -> None:
        """Raise the error of any worker on all of them, so that none waits for a worker that has stopped."""
        why = next((text for text in self._group.gather(why) if text), None)
        if why is not None:
            raise UsageError(why)


def _attempt(step: Callable[[], Value]) -> tuple[Value | None, str | None]:
    """Return the result of a step and None, or None and the error message."""
    try:
        return step(), None
    except UsageError as error:
        return None, str(error)
    except (_DamagedError, _IncompleteError) as error:  # the first worker has just read the same checkpoint
        return None, (
            f"--out: the machines do not see the same checkpoint ({error}). Choose an --out on S3 or on a shared disk."
        )
