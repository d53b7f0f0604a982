"""Files of a folder, found with as few requests as the storage allows.

Hidden files are passed over everywhere: they are what killed writers, version control and other systems leave behind.
So are objects that stand for a folder: consoles of S3 make an empty one named `folder/`, Hadoop `folder_$folder$`.
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
from attn.storage.filesystem import is_local
from attn.storage.reasons import bucket_is_missing

HADOOP_FOLDER = "_$folder$"


class File(NamedTuple):
    """A file found in a listing. `size` in bytes; None for a link that leads nowhere."""

    path: str
    size: int | None


def list_files(fs: AbstractFileSystem, path: str) -> list[File]:
    """All files below a folder, or the one file that `path` is; unsorted, hidden ones left out.

    Locally one scan per folder, through links to folders too; elsewhere one recursive listing (S3: a request for
    every 1000 files, however many folders). Pipes, sockets and devices are left out; a link that leads nowhere is
    listed, so that it is missed later by name.

    Raises:
        OSError and what the storage's own client raises: wrap in `storage_errors`.
    """
    if not is_local(fs):
        return _find(fs, path)
    return list(_scan(path, frozenset())) if os.path.isdir(path) else [File(path, os.stat(path).st_size)]


def glob_files(fs: AbstractFileSystem, pattern: str) -> list[File]:
    """The files that a pattern matches and all files below the folders it matches; `**` stands for any folders.

    A path without wildcards, or one that exists as it is written, is listed as `list_files` does. On S3 all that
    shares the part before the first wildcard is listed.

    Raises:
        UsageError: on S3, a wildcard in the bucket's name.
    """
    plain = re.split(r"[*?[]", pattern, maxsplit=1)[0]
    if not is_local(fs) and has_magic(pattern) and "/" not in plain:
        raise UsageError(f"{pattern} starts with a wildcard; name the bucket and begin a glob behind it")
    if not has_magic(pattern) or fs.exists(pattern):
        return list_files(fs, pattern)
    if is_local(fs):
        return list(
            {file.path: file for match in glob.glob(pattern, recursive=True) for file in _matched(match)}.values()
        )
    folder, _, prefix = plain.rpartition("/")
    matches = re.compile(f"{glob_translate(pattern)}|{glob_translate(pattern.rstrip('/') + '/**')}").match
    return [file for file in _find(fs, folder, prefix) if matches(file.path)]


def names_in(fs: AbstractFileSystem, folder: str) -> list[str]:
    """Names directly in a folder, hidden ones too; none where there is no folder. A missing bucket is an error."""
    try:
        paths = os.listdir(folder) if is_local(fs) else _inside(fs, folder)
    except FileNotFoundError as error:
        if bucket_is_missing(error):
            raise
        return []
    names = [posixpath.basename(path.rstrip("/")) for path in paths]
    return [name for name in names if not name.endswith(HADOOP_FOLDER)]


def _inside(fs: AbstractFileSystem, folder: str) -> list[str]:
    """Paths directly in a folder, which is itself listed too if an object stands for it."""
    listed = fs.ls(folder, detail=True)
    return [one["name"] for one in listed if one["name"].strip("/") != folder.strip("/") or one.get("size")]


def remove_tree(fs: AbstractFileSystem, path: str) -> None:
    """Removes a folder with all that lies in it, or a file.

    Not `fs.rm`, which takes a path for a pattern and, where that matches nothing, removes nothing.

    Raises:
        FileNotFoundError: there is none, or another program removed a part of it meanwhile.
        OSError and what the storage's own client raises: wrap in `storage_errors`.
    """
    if not is_local(fs):
        for file in fs.find(path):
            fs.rm_file(file)
    elif os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


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
    """Files below a local folder. `above`: the folders it lies in, so that a link to one of them ends there."""
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
