"""What a store consists of, by name: what belongs to a run and may be removed by one, and what is another program's."""

import contextlib
from pathlib import Path

from fsspec import AbstractFileSystem

from attn.storage import failures, manifest
from attn.storage.filesystem import is_local, left_by
from attn.storage.listing import names_in
from attn.storage.orphans import remove_orphans
from attn.storage.parts import is_part
from attn.storage.uploads import give_up_uploads

SUCCESS = "_SUCCESS.json"
PROGRESS = "progress.json"
DAMAGED = "_damaged"
FOLDERS = (failures.FOLDER, DAMAGED)


def holds_something(fs: AbstractFileSystem, root: str) -> bool:
    """Whether anything lies in a folder but what a run that was killed while it began a store has left."""
    return any(not _is_leftover(name) for name in names_in(fs, root))


def remove_store(fs: AbstractFileSystem, root: str) -> None:
    """Removes the files of a store; what else lies in its folder stays, and so does the folder.

    The mark of completion goes first and the manifest last, so that what a killed run leaves is still a store, and no
    complete one.
    """
    inside = [f"{folder}/{name}" for folder in FOLDERS for name in names_in(fs, f"{root}/{folder}") if _in_folder(name)]
    beside = [name for name in names_in(fs, root) if is_part(name) or name == PROGRESS or _is_leftover(name)]
    for name in [SUCCESS, *beside, *inside, manifest.NAME]:
        with contextlib.suppress(FileNotFoundError):
            fs.rm_file(f"{root}/{name}")
    for folder in FOLDERS if is_local(fs) else ():
        with contextlib.suppress(OSError):  # not there, or another program's file lies in it
            fs.rmdir(f"{root}/{folder}")


def remove_leftovers(fs: AbstractFileSystem, root: str) -> None:
    """Removes what killed runs left half-written in a store's folder; what living writers write stays.

    On S3 these are parts half-way up, which no listing shows.
    """
    if is_local(fs):
        remove_orphans(Path(root, name) for name in names_in(fs, root) if _is_leftover(name))
    give_up_uploads(fs, root, is_part)


def _is_leftover(name: str) -> bool:
    """Whether a killed run left a file of this name in a store's folder."""
    whole = left_by(name)
    return whole is not None and (is_part(whole) or whole in (SUCCESS, PROGRESS, manifest.NAME))


def _in_folder(name: str) -> bool:
    """Whether a file of this name in one of `FOLDERS` is the store's."""
    return (left_by(name) or name).endswith(".parquet")
