"""Files of a store, by name: those that a run may remove, and those of other programs."""

import contextlib
from pathlib import Path

from attn.storage import failures, manifest
from attn.storage.filesystem import left_by
from attn.storage.listing import names_in
from attn.storage.location import Location
from attn.storage.parts import is_part
from attn.storage.stale_files import remove_orphans
from attn.storage.uploads import give_up_uploads

SUCCESS = "_SUCCESS.json"
PROGRESS = "progress.json"
DAMAGED = "_damaged"
FOLDERS = (failures.FOLDER, DAMAGED)


def holds_something(store: Location) -> bool:
    """Whether a folder holds anything except leftovers of a run that was killed while it created the store."""
    return any(not _is_leftover(name) for name in names_in(store))


def remove_store(store: Location) -> None:
    """Remove the files of a store, but neither other files in its folder nor the folder itself.

    `_SUCCESS.json` is removed first and the manifest last. If the run is killed in between, the folder still holds a
    store, but not a finished one.
    """
    inside = [f"{folder}/{name}" for folder in FOLDERS for name in names_in(store / folder) if _in_folder(name)]
    beside = [name for name in names_in(store) if is_part(name) or name == PROGRESS or _is_leftover(name)]
    for name in [SUCCESS, *beside, *inside, manifest.NAME]:
        with contextlib.suppress(FileNotFoundError):
            (store / name).remove()
    for folder in FOLDERS if store.is_local else ():
        with contextlib.suppress(OSError):  # missing, or holds a file of another program
            store.fs.rmdir((store / folder).path)


def remove_leftovers(store: Location) -> None:
    """Remove files in a store's folder that killed runs left half-written, but none that is still being written.

    On S3, these are unfinished multipart uploads of parts, which no listing shows.
    """
    if store.is_local:
        remove_orphans(Path(store.path, name) for name in names_in(store) if _is_leftover(name))
    give_up_uploads(store, is_part)


def _is_leftover(name: str) -> bool:
    """Whether a file of this name in a store's folder was left by a killed run."""
    whole = left_by(name)
    return whole is not None and (is_part(whole) or whole in (SUCCESS, PROGRESS, manifest.NAME))


def _in_folder(name: str) -> bool:
    """Whether a file of this name in one of `FOLDERS` belongs to the store."""
    return (left_by(name) or name).endswith(".parquet")
