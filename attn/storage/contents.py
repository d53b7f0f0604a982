"""Files of a store, by name: those that a run may remove, and those of other programs."""

import contextlib
from pathlib import Path

from fsspec import AbstractFileSystem

from attn.storage import failures, manifest
from attn.storage.filesystem import is_local, left_by
from attn.storage.listing import names_in
from attn.storage.parts import is_part
from attn.storage.stale_files import remove_orphans
from attn.storage.uploads import give_up_uploads

SUCCESS = "_SUCCESS.json"
PROGRESS = "progress.json"
DAMAGED = "_damaged"
FOLDERS = (failures.FOLDER, DAMAGED)


def holds_something(fs: AbstractFileSystem, root: str) -> bool:
    """Whether a folder holds anything except leftovers of a run that was killed while it created the store."""
    return any(not _is_leftover(name) for name in names_in(fs, root))


def remove_store(fs: AbstractFileSystem, root: str) -> None:
    """Remove the files of a store, but neither other files in its folder nor the folder itself.

    `_SUCCESS.json` is removed first and the manifest last. If the run is killed in between, the folder still holds a
    store, but not a finished one.
    """
    inside = [f"{folder}/{name}" for folder in FOLDERS for name in names_in(fs, f"{root}/{folder}") if _in_folder(name)]
    beside = [name for name in names_in(fs, root) if is_part(name) or name == PROGRESS or _is_leftover(name)]
    for name in [SUCCESS, *beside, *inside, manifest.NAME]:
        with contextlib.suppress(FileNotFoundError):
            fs.rm_file(f"{root}/{name}")
    for folder in FOLDERS if is_local(fs) else ():
        with contextlib.suppress(OSError):  # missing, or holds a file of another program
            fs.rmdir(f"{root}/{folder}")


def remove_leftovers(fs: AbstractFileSystem, root: str) -> None:
    """Remove files in a store's folder that killed runs left half-written, but none that is still being written.

    On S3, these are unfinished multipart uploads of parts, which no listing shows.
    """
    if is_local(fs):
        remove_orphans(Path(root, name) for name in names_in(fs, root) if _is_leftover(name))
    give_up_uploads(fs, root, is_part)


def _is_leftover(name: str) -> bool:
    """Whether a file of this name in a store's folder was left by a killed run."""
    whole = left_by(name)
    return whole is not None and (is_part(whole) or whole in (SUCCESS, PROGRESS, manifest.NAME))


def _in_folder(name: str) -> bool:
    """Whether a file of this name in one of `FOLDERS` belongs to the store."""
    return (left_by(name) or name).endswith(".parquet")
