"""Table of contents of a tar, read from header to header without reading the content of members.

A tar has no index, so this takes one small read per member. On S3, it takes one ranged request per video, because the
window that contains a header usually contains the small label file after it and the next header too.
"""

import io
import json
import logging
import os
import posixpath
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from attn.errors import UsageError
from attn.storage.location import Location
from attn.video.file_names import is_video, may_be_video

log = logging.getLogger(__name__)

LOCAL_WINDOW_BYTES = 4 << 10
REMOTE_WINDOW_BYTES = 32 << 10
# Far above any genuine extended header or label; a forged one must not exhaust the memory.
LARGEST_READ_BYTES = 1 << 20
JSON_SUFFIXES, TEXT_SUFFIXES = (".json", ".jsn"), (".cls", ".class", ".label", ".txt", ".text")
LABEL_KEYS = ("label", "class", "class_name", "cls")
FREE_TEXTS = (".txt", ".text")
LONGEST_TEXT_LABEL = 200  # bytes of a .txt file, which may contain a caption instead of a label


class Member(NamedTuple):
    """Video in a tar: name, offset and size in bytes, and the label stored with it, if any."""

    name: str
    offset: int
    size: int
    label: str | None


class WindowReader(io.RawIOBase):
    """File that is read through a small window; a read outside the window fetches the next one."""

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
            raise tarfile.ReadError("a header declares an absurd number of bytes")
        if stop <= self._position:
            return b""
        if self._position < self._start or stop > self._start + len(self._window):
            self._start = self._position
            wanted = max(stop, self._start + self._window_bytes)
            self._window = self._fetch(self._start, min(wanted, self._size))
        data = self._window[self._position - self._start : stop - self._start]
        self._position += len(data)
        return data


def read_members(tar: Location, size: int) -> list[Member]:
    """Return the videos and possible videos of a tar in its order, with labels. The tar may be made by any tool.

    Labels come from `<stem>.json` (key `label`) or `<stem>.cls`, otherwise from a `<stem>.txt` of a few words. The stem
    is everything before the last dot, as in IDs, or else everything before the first dot, as in WebDataset:
    `000006.cls` is the label of `000006.video.mp4`.

    Members whose path leaves the archive, links, devices and sparse files are left out; a warning names them.

    Raises:
        UsageError: the file is damaged or not a tar.
    """
    window_bytes = LOCAL_WINDOW_BYTES if tar.is_local else REMOTE_WINDOW_BYTES
    file, where = WindowReader(tar.read_bytes, size, window_bytes), str(tar)
    try:
        contents = list(_contents(file))
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError) as error:
        raise UsageError(f"{where}: damaged or not a tar ({error}). Create or download it again.") from error
    _warn_of_refused([info for info, _ in contents], where)
    label_of = _label_of(contents, [info.name for info, _ in contents if is_video(info.name)])
    return [
        Member(info.name, info.offset_data, info.size, label_of(info.name))
        for info, _ in contents
        if info.isreg() and _refusal(info) is None and (is_video(info.name) or may_be_video(info.name))
    ]


def leaves_archive(name: str) -> bool:
    """Return whether a member's path points outside the folder into which the tar would be unpacked."""
    return name.startswith("/") or ".." in name.split("/")


def _refusal(info: tarfile.TarInfo) -> str | None:
    """Return why a member is not accepted as a video, None if it is."""
    if leaves_archive(info.name):
        return "its path leaves the archive"
    if info.issym() or info.islnk():
        return "a link"
    if info.issparse():
        return "a sparse file"
    return None if info.isreg() or info.isdir() else "not a regular file"


def _contents(file: WindowReader) -> Iterator[tuple[tarfile.TarInfo, str | None]]:
    """Yield members and, for label files, the label, which is read at once while the window contains it."""
    with tarfile.open(fileobj=file, mode="r:") as tar:
        while (info := tar.next()) is not None:
            if tar.offset <= info.offset:
                raise tarfile.ReadError(f"the size of {info.name} is impossible")
            yield info, _label(file, info)
        # tarfile treats an unreadable header as the end; the real end is a block of zeros.
        file.seek(tar.offset)
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"neither a valid header nor the end at byte {tar.offset}")


def _label(file: WindowReader, info: tarfile.TarInfo) -> str | None:
    name = info.name.lower()
    longest = LONGEST_TEXT_LABEL if name.endswith(FREE_TEXTS) else LARGEST_READ_BYTES
    if not (info.isreg() and name.endswith((*JSON_SUFFIXES, *TEXT_SUFFIXES)) and info.size <= longest):
        return None
    file.seek(info.offset_data)
    text = file.read(info.size).decode("utf-8", errors="replace").strip()
    if name.endswith(TEXT_SUFFIXES):
        return None if name.endswith(FREE_TEXTS) and text.isdigit() else text or None  # a number may mean anything
    try:
        found = json.loads(text)
        label = next(found[key] for key in LABEL_KEYS if key in found)
    except (ValueError, KeyError, TypeError, RecursionError, StopIteration):
        return None
    return str(label) if isinstance(label, str | int) and not isinstance(label, bool) else None


def _label_of(contents: list[tuple[tarfile.TarInfo, str | None]], videos: list[str]) -> Callable[[str], str | None]:
    """Return a function from the name of a video to its label. Free text counts only if there is nothing else."""
    stored = [(info.name, label) for info, label in contents if label is not None]
    stored.sort(key=lambda one: not one[0].lower().endswith(FREE_TEXTS))
    by_stem = {_stem(name): label for name, label in stored}
    by_key = {_key(name): label for name, label in stored}
    sharing = Counter(map(_key, videos))

    def label_of(name: str) -> str | None:
        key = _key(name)
        # If clip.1 and clip.2 share a key, it is unclear whose label this is.
        return by_stem.get(_stem(name), by_stem.get(key, by_key.get(key) if sharing[key] == 1 else None))

    return label_of


def _key(name: str) -> str:
    """Return the key of a sample in WebDataset: everything before the first dot of the file name."""
    folder, base = posixpath.split(posixpath.normpath(name))
    return posixpath.join(folder, base.partition(".")[0])


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.normpath(name))[0]


def _warn_of_refused(infos: list[tarfile.TarInfo], where: str) -> None:
    refused = [f"{info.name} ({why})" for info in infos if (why := _refusal(info))]
    if refused:
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        log.warning("%s: members left out: %s%s", where, ", ".join(refused[:5]), more)
