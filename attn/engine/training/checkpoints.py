"""The states of a training: where one goes after every look or epoch, and where the newest good one comes from.

Each state is a folder of its own whose sums are written last. What a kill left half-written has none, what a disk
damaged does not agree with them: either is passed over for the state before, so two are kept. Ray Train's own keeping
has no sums, no way back, and one record of all states that ends the training where it is torn.
"""

import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeVar

from attn.engine.training.group import Group
from attn.errors import UsageError
from attn.storage.damage import disk_fails
from attn.storage.filesystem import join, open_filesystem, read_bytes, storage_errors, write_atomic
from attn.storage.listing import names_in, remove_tree

SUMS, PREFIX = "sums.json", "state-"
Files = dict[str, bytes]
"""What a state is made of: by name."""
Save = Callable[[], Iterable[tuple[str, bytes]]]
"""Gives the files of a state one by one, so that not all need be in memory at once."""
Value = TypeVar("Value")


class State(NamedTuple):
    """One that agrees with its sums."""

    name: str
    files: Files


class Checkpoints(Protocol):
    """Keeps the states of one worker's training."""

    damaged: list[str]
    """A line for each state that `restore` passed over for one of an earlier update or epoch."""

    def restore(self) -> Files | None:
        """The newest good state; None where there is none.

        Raises:
            UsageError: there are states, and all are damaged; or they cannot be read.
        """
        ...

    def save(self, number: int, row: dict[str, Any], save: Save) -> None:
        """Takes a new state.

        Args:
            number: of the update or epoch after which it is so; grows.
            row: metrics of the look.
            save: makes the files.

        Raises:
            UsageError: the storage refuses; what was kept before is left.
        """
        ...


class _DamagedError(Exception):
    """What was read is not what was written; the message says what."""


class AllDamagedError(UsageError):
    """There is no state left to go on from."""


class _UnfinishedError(Exception):
    """A state without sums."""


class CheckpointFolder:
    """Keeps the states in a folder, local or on S3, but not more often than every few seconds.

    What is lost by a kill is done again, and the same.

    Args:
        url: of the folder; it need not exist.
        every_s: seconds between two states that are written.
    """

    def __init__(self, url: str, *, every_s: float = 10.0):
        self.url, self._every_s = url, every_s
        self._kept_s = time.monotonic()
        self._good = ""
        self.damaged: list[str] = []

    def restore(self) -> Files | None:
        """The newest good state."""
        state = self.newest()
        return state and state.files

    def newest(self) -> State | None:
        """The same, and its name.

        Raises:
            AllDamagedError: there are states, and none is good.
        """
        begun, passed = 0, dict[str, str]()
        for name in sorted(self._names(), reverse=True):
            try:
                state = self.read(name)
            except _DamagedError as error:
                begun += 1
                passed[name] = f"{join(self.url, name)} is damaged ({error})"
            except _UnfinishedError:
                passed[name] = f"{join(self.url, name)} was not written to its end"
            else:
                # With another of the same number nothing is lost; and after the last one no one would remove it.
                self.damaged += [line for other, line in passed.items() if _numbered(other) > _numbered(name)]
                return state
        self.damaged += passed.values()
        if begun:
            raise AllDamagedError(
                f"{'; '.join(self.damaged)}; no other state is left to resume from. Put them back from a copy, or "
                f"remove {self.url} to train anew"
            )
        return None

    def read(self, name: str) -> State:
        """One state.

        Raises:
            UsageError: it cannot be read.
        """
        fs, path = open_filesystem(join(self.url, name))
        with storage_errors(join(self.url, name)):
            try:
                sums = _parsed(_read(fs, join(path, SUMS)))
            except FileNotFoundError as error:
                raise _UnfinishedError from error
            files = {file: _checked(fs, join(path, file), digest) for file, digest in sums.items()}
        self._good = name
        return State(name, files)

    def save(self, number: int, row: dict[str, Any], save: Save) -> None:
        if time.monotonic() - self._kept_s >= self._every_s:
            self.write(number, save)

    def write(self, number: int, save: Save) -> None:
        """Adds a state, and leaves of older ones the last that is good."""
        # Two processes that write the same state, one of which is not yet dead, must not mix their files.
        name = f"{PREFIX}{number:09d}-{secrets.token_hex(4)}"
        try:
            self._write(name, save)
        except UsageError:
            with contextlib.suppress(Exception):  # what is half-written takes room that may have been missing
                self._remove(name)
            raise
        for other in self._names():
            # Newer ones are of another process that is not dead yet, or not yet alone.
            if other not in (name, self._good) and _numbered(other) <= _numbered(name):
                self._remove(other)
        self._good, self._kept_s = name, time.monotonic()

    def _write(self, name: str, save: Save) -> None:
        fs, path = open_filesystem(join(self.url, name))
        sums = {}
        for file, data in save():
            write_atomic(fs, join(path, file), data)
            sums[file] = hashlib.sha256(data).hexdigest()
        write_atomic(fs, join(path, SUMS), json.dumps(sums, indent=1).encode())

    def _names(self) -> list[str]:
        fs, path = open_filesystem(self.url)
        with storage_errors(self.url):
            return [name for name in names_in(fs, path) if name.startswith(PREFIX)]

    def _remove(self, name: str) -> None:
        fs, path = open_filesystem(join(self.url, name))
        with storage_errors(self.url), contextlib.suppress(FileNotFoundError):  # another process was faster
            remove_tree(fs, path)


def _numbered(name: str) -> str:
    """The name without what tells two writers apart; grows with the number."""
    return name[: len(PREFIX) + 9]


def _read(fs: Any, path: str) -> bytes:
    """A file; where a disk that fails gives an error in place of other bytes, that is damage too."""
    try:
        return read_bytes(fs, path)
    except OSError as error:
        if disk_fails(error, fs):
            raise _DamagedError(f"{path.rpartition('/')[2]} cannot be read: {error.strerror}") from error
        raise


def _parsed(data: bytes) -> dict[str, str]:
    try:
        sums = json.loads(data)
        return {str(file): str(digest) for file, digest in sums.items()}
    except (ValueError, AttributeError) as error:
        raise _DamagedError(f"{SUMS} is no list of sums") from error


def _checked(fs: Any, path: str, digest: str) -> bytes:
    file = path.rpartition("/")[2]
    try:
        data = _read(fs, path)
    except FileNotFoundError as error:
        raise _DamagedError(f"{file} is missing") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise _DamagedError(f"{file} is not what was written")
    return data


class GroupCheckpoints:
    """Checkpoints of a group: the first worker writes them, all read the same one.

    Args:
        states: folder of the checkpoints.
        group: place of this worker among all.
        report: gets the metrics once all workers know that the checkpoint is written.
    """

    def __init__(self, states: CheckpointFolder, group: Group, report: Callable[[dict[str, Any]], None]):
        self._states, self._group, self._report = states, group, report
        self.damaged: list[str] = []

    def restore(self) -> Files | None:
        """The newest good state."""
        first, found, why = self._group.rank == 0, None, None
        if first:
            found, why = _attempt(self._states.newest)
        name, why, self.damaged = self._group.gather((found and found.name, why, self._states.damaged))[0]
        if why is None and name is not None and not first:
            found, why = _attempt(lambda: self._states.read(name))
        self._agree(why)
        return found and found.files

    def save(self, number: int, row: dict[str, Any], save: Save) -> None:
        why = None
        if self._group.rank == 0:
            _, why = _attempt(lambda: self._states.save(number, row, save))
        self._agree(why)  # all wait until the state is kept
        self._report(row)

    def _agree(self, why: str | None) -> None:
        """An error of one is an error of all: no one may wait for a worker that has left."""
        why = next((text for text in self._group.gather(why) if text), None)
        if why is not None:
            raise UsageError(why)


def _attempt(step: Callable[[], Value]) -> tuple[Value | None, str | None]:
    """What a step gives, or why it gives nothing."""
    try:
        return step(), None
    except UsageError as error:
        return None, str(error)
    except (_DamagedError, _UnfinishedError) as error:  # read well by the first worker a moment ago
        return None, f"the newest state is another for each machine ({error}); give --out on S3 or on a shared disk"
