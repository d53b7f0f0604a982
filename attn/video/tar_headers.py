"""The table of contents of a tar, by hopping from header to header: the payloads are never read.

A tar has no index, so this takes one small read per member; over S3 one ranged request per video, because the window
that holds a header usually holds the small label file behind it and the next header too.
"""

import functools
import io
import json
import logging
import os
import posixpath
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fsspec import AbstractFileSystem

from attn.errors import UsageError
from attn.storage.filesystem import is_local, read_bytes, url_of
from attn.storage.reasons import shown
from attn.video.names import is_video, may_be_video

log = logging.getLogger(__name__)

LOCAL_WINDOW_BYTES = 4 << 10
REMOTE_WINDOW_BYTES = 32 << 10
# Far above any honest extended header or label; a forged one must not fill the memory.
LARGEST_READ_BYTES = 1 << 20
JSON_SUFFIXES, TEXT_SUFFIXES = (".json", ".jsn"), (".cls", ".class", ".label", ".txt", ".text")
LABEL_KEYS = ("label", "class", "class_name", "cls")
FREE_TEXTS = (".txt", ".text")
LONGEST_TEXT_LABEL = 200  # bytes; of a .txt, which may hold a caption


class Member(NamedTuple):
    """A video inside a tar: its name there, where its bytes lie, and the label that came with it, if any."""

    name: str
    offset: int
    size: int
    label: str | None


class WindowReader(io.RawIOBase):
    """A file read through a small window that is fetched anew when a read leaves it."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, window_bytes: int):
        self._fetch, self._size, self._window_bytes = fetch, size, window_bytes
        self._position = 0
        self._start, self._window = 0, b""

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        stop = min(self._position + size, self._size) if size >= 0 else self._size
        if self._position < 0 or stop - self._position > LARGEST_READ_BYTES:
            raise tarfile.ReadError("a header asks for an absurd number of bytes")
        if stop <= self._position:
            return b""
        if self._position < self._start or stop > self._start + len(self._window):
            self._start = self._position
            wanted = max(stop, self._start + self._window_bytes)
            self._window = self._fetch(self._start, min(wanted, self._size))
        data = self._window[self._position - self._start : stop - self._start]
        self._position += len(data)
        return data


def read_members(fs: AbstractFileSystem, path: str, size: int) -> list[Member]:
    """Videos of a tar of any origin, in its order, and what may be one by its name; with labels.

    Labels come from `<stem>.json` (key `label`) or `<stem>.cls`, else from a `<stem>.txt` of a few words. The stem is
    all before the last dot, as in ids; else all before the first, as in WebDataset: `000006.cls` tells the class of
    `000006.video.mp4`.

    Members whose path leaves the archive, links, devices and sparse files are no videos: a warning names them.

    Raises:
        UsageError: no tar, or a damaged one.
    """
    window_bytes = LOCAL_WINDOW_BYTES if is_local(fs) else REMOTE_WINDOW_BYTES
    file = WindowReader(functools.partial(read_bytes, fs, path), size, window_bytes)
    where = shown(url_of(fs, path))
    try:
        contents = list(_contents(file))
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError) as error:
        raise UsageError(f"{where} is damaged or no tar ({error}); make or fetch it again") from error
    _warn_of_refused([info for info, _ in contents], where)
    label_of = _label_of(contents, [info.name for info, _ in contents if is_video(info.name)])
    return [
        Member(info.name, info.offset_data, info.size, label_of(info.name))
        for info, _ in contents
        if info.isreg() and _refusal(info) is None and (is_video(info.name) or may_be_video(info.name))
    ]


def leaves_archive(name: str) -> bool:
    """Whether a member's path points outside the folder a tar would be unpacked in."""
    return name.startswith("/") or ".." in name.split("/")


def _refusal(info: tarfile.TarInfo) -> str | None:
    """Why a member is no video to us; None if nothing speaks against it."""
    if leaves_archive(info.name):
        return "its path leaves the archive"
    if info.issym() or info.islnk():
        return "a link"
    if info.issparse():
        return "a sparse file"
    return None if info.isreg() or info.isdir() else "no plain file"


def _contents(file: WindowReader) -> Iterator[tuple[tarfile.TarInfo, str | None]]:
    """Members and, for label files, the label. The label is read at once, while the window is there."""
    with tarfile.open(fileobj=file, mode="r:") as tar:
        while (info := tar.next()) is not None:
            if tar.offset <= info.offset:
                raise tarfile.ReadError(f"the size of {info.name} is impossible")
            yield info, _label(file, info)
        # tarfile takes an unreadable header for the end; the true end is a block of zeros.
        file.seek(tar.offset)
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"no valid header and no end at byte {tar.offset}")


def _label(file: WindowReader, info: tarfile.TarInfo) -> str | None:
    name = info.name.lower()
    longest = LONGEST_TEXT_LABEL if name.endswith(FREE_TEXTS) else LARGEST_READ_BYTES
    if not (info.isreg() and name.endswith((*JSON_SUFFIXES, *TEXT_SUFFIXES)) and info.size <= longest):
        return None
    file.seek(info.offset_data)
    text = file.read(info.size).decode("utf-8", errors="replace").strip()
    if name.endswith(TEXT_SUFFIXES):
        return None if name.endswith(FREE_TEXTS) and text.isdigit() else text or None  # any number may stand in a text
    try:
        found = json.loads(text)
        label = next(found[key] for key in LABEL_KEYS if key in found)
    except (ValueError, KeyError, TypeError, RecursionError, StopIteration):
        return None
    return str(label) if isinstance(label, str | int) and not isinstance(label, bool) else None


def _label_of(contents: list[tuple[tarfile.TarInfo, str | None]], videos: list[str]) -> Callable[[str], str | None]:
    """Label of a video of a tar by its name; a free text counts only if nothing else tells one."""
    told = [(info.name, label) for info, label in contents if label is not None]
    told.sort(key=lambda one: not one[0].lower().endswith(FREE_TEXTS))
    by_stem = {_stem(name): label for name, label in told}
    by_key = {_key(name): label for name, label in told}
    sharing = Counter(map(_key, videos))

    def label_of(name: str) -> str | None:
        key = _key(name)
        # The label of clip.1 is not that of clip.2.
        return by_stem.get(_stem(name), by_stem.get(key, by_key.get(key) if sharing[key] == 1 else None))

    return label_of


def _key(name: str) -> str:
    """Name by which WebDataset calls a sample: all before the first dot of the file's name."""
    folder, base = posixpath.split(posixpath.normpath(name))
    return posixpath.join(folder, base.partition(".")[0])


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.normpath(name))[0]


def _warn_of_refused(infos: list[tarfile.TarInfo], where: str) -> None:
    refused = [f"{info.name} ({why})" for info in infos if (why := _refusal(info))]
    if refused:
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        log.warning("%s: members left out: %s%s", where, ", ".join(refused[:5]), more)
