"""Listings of folders, with as few requests as the storage allows.

Hidden files are skipped everywhere, because killed writers, version control and other systems leave them behind.
Objects that represent a folder are skipped too: S3 consoles create an empty object `folder/`, Hadoop `folder_$folder$`.
"""

import glob
import os
import posixpath
import re
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

from fsspec import AbstractFileSystem
from fsspec.core import has_magic
from fsspec.utils import glob_translate

from attn.errors import UsageError
from attn.storage.error_messages import bucket_is_missing
from attn.storage.location import Location

HADOOP_FOLDER = "_$folder$"


class File(NamedTuple):
    """A file found in a listing. `size` is in bytes, or None for a broken link."""

    path: str
    size: int | None


def list_files(place: Location) -> list[File]:
    """All files below a folder, or the one file at a location; unsorted and without hidden files.

    Locally, each folder is scanned once, including folders behind links; elsewhere, there is one recursive listing (S3:
    one request per 1000 files, however many folders). Pipes, sockets and devices are skipped. A broken link is listed,
    so that a later error can name it.

    Raises:
        OSError: the listing failed. Storage clients raise other errors too, so wrap the call in `Location.errors`.
    """
    if not place.is_local:
        return _find(place.fs, place.path)
    path = place.path
    return list(_scan(path, frozenset())) if os.path.isdir(path) else [File(path, os.stat(path).st_size)]


def glob_files(place: Location) -> list[File]:
    """Files that match a pattern and all files below matching folders; `**` matches any folders.

    A path without wildcards, or one that exists as written, is listed as by `list_files`. On S3, everything that shares
    the prefix before the first wildcard is listed.

    Raises:
        UsageError: the bucket's name contains a wildcard (S3).
    """
    pattern = place.path
    plain = re.split(r"[*?[]", pattern, maxsplit=1)[0]
    if not place.is_local and has_magic(pattern) and "/" not in plain:
        raise UsageError(f"{pattern}: wildcards are not allowed in the bucket's name. Write the name in full.")
    if not has_magic(pattern) or place.fs.exists(pattern):
        return list_files(place)
    if place.is_local:
        return list(
            {file.path: file for match in glob.glob(pattern, recursive=True) for file in _matched(match)}.values()
        )
    folder, _, prefix = plain.rpartition("/")
    matches = re.compile(f"{glob_translate(pattern)}|{glob_translate(pattern.rstrip('/') + '/**')}").match
    return [file for file in _find(place.fs, folder, prefix) if matches(file.path)]


def names_in(folder: Location) -> list[str]:
    """Names directly in a folder, including hidden ones; empty if the folder does not exist.

    Raises:
        FileNotFoundError: the bucket does not exist.
    """
    try:
        paths = os.listdir(folder.path) if folder.is_local else _inside(folder.fs, folder.path)
    except FileNotFoundError as error:
        if bucket_is_missing(error):
            raise
        return []
    names = [posixpath.basename(path.rstrip("/")) for path in paths]
    return [name for name in names if not name.endswith(HADOOP_FOLDER)]


def _inside(fs: AbstractFileSystem, folder: str) -> list[str]:
    """Paths directly in a folder, without the empty object that may represent the folder itself."""
    listed = fs.ls(folder, detail=True)
    return [one["name"] for one in listed if one["name"].strip("/") != folder.strip("/") or one.get("size")]


def remove_tree(place: Location) -> None:
    """Remove a file, or a folder with everything in it.

    Not `fs.rm`, which treats the path as a pattern and removes nothing if the pattern does not match.

    Raises:
        FileNotFoundError: the path does not exist, or another program removed part of it in the meantime.
        OSError: the removal failed. Storage clients raise other errors too, so wrap the call in `Location.errors`.
    """
    if not place.is_local:
        for file in place.fs.find(place.path):
            place.fs.rm_file(file)
    elif os.path.isdir(place.path):
        shutil.rmtree(place.path)
    else:
        os.unlink(place.path)


def _find(fs: AbstractFileSystem, folder: str, prefix: str = "") -> list[File]:
    narrowed: dict[str, Any] = {"prefix": prefix} if prefix and "s3" in fs.protocol else {}
    found = dict(fs.find(folder, detail=True, **narrowed))
    inside = len(folder.rstrip("/"))
    return [
        File(path, info.get("size"))
        for path, info in found.items()
        if info.get("type", "file") == "file"
        and not path.endswith(("/", HADOOP_FOLDER))
        and not _is_hidden(path[inside:])
    ]


def _is_hidden(relative: str) -> bool:
    return any(part.startswith(".") for part in relative.split("/"))


def _matched(path: str) -> Iterator[File]:
    if os.path.isdir(path):
        yield from _scan(path, frozenset())
    elif os.path.isfile(path):
        yield File(path, os.stat(path).st_size)
    elif os.path.islink(path):
        yield File(path, None)


def _scan(folder: str, above: frozenset[tuple[int, int]]) -> Iterator[File]:
    """Files below a local folder.

    Args:
        folder: path of the folder.
        above: IDs of the folders that contain it, so that links to one of them are not followed.
    """
    status = os.stat(folder)
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith(HADOOP_FOLDER):
                continue
            if entry.is_dir():
                yield from _scan(entry.path, above | {here})
            elif entry.is_file():
                yield File(entry.path, entry.stat().st_size)
            elif entry.is_symlink():
                yield File(entry.path, None)
