"""Where videos come from: a folder tree, tar shards, one file or a glob, on any storage, all seen as one sorted list.

A `Video` says where the bytes lie; nothing is copied before `open_video`, and a local file not even then.
"""

import contextlib
import dataclasses
import itertools
import os
import posixpath
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fsspec import AbstractFileSystem

from attn.classes import class_ids
from attn.errors import UsageError, VideoError
from attn.storage.filesystem import is_local, open_filesystem, read_bytes, storage_errors, url_of
from attn.storage.listing import File, glob_files
from attn.storage.reasons import shown
from attn.video.labels import choose_label, read_labels
from attn.video.names import VIDEO_SUFFIXES, folder_of, is_shard, is_video, video_id_of
from attn.video.shard_index import list_shard
from attn.video.spill import spilled

__all__ = ["Found", "Video", "find_videos", "label_videos", "list_videos", "open_video", "read_labels", "read_video"]

LOCAL_CHUNK_BYTES = 1 << 20
REMOTE_CHUNK_BYTES = 8 << 20
SHARDS_AT_ONCE = 16
NAMED_IN_ERRORS = 5


@dataclasses.dataclass(frozen=True)
class Video:
    """One video: a whole file, or a member of a tar.

    Attributes:
        video_id: name of the file without its extension, unique in a run.
        url: of the file, or of the tar.
        label: class id, None where unknown.
        offset: first byte inside the tar; None for a whole file.
        size: bytes; of a whole file only as it was when it was listed, None where the listing did not tell.
        member: name inside the tar; None for a whole file.
    """

    video_id: str
    url: str
    label: int | None
    offset: int | None
    size: int | None
    member: str | None = None

    @property
    def name(self) -> str:
        """Name of the video file, with its extension."""
        return posixpath.basename(self.member or self.url)

    @property
    def where(self) -> str:
        """How messages call it."""
        return shown(self.url) if self.member is None else f"{shown(self.url)}: {self.member}"


class Found(NamedTuple):
    """A video that was found, and what may be its label: its folder's name, and what came with it in a tar."""

    video: Video
    folder: str
    stored: str | None


def list_videos(url: str, class_names: Sequence[str] = (), labels: Mapping[str, str] | None = None) -> list[Video]:
    """The videos at a URL, sorted by video id.

    A label is the parent folder where that is a class name, else what the tar says, else what `labels` says, else None.

    Args:
        url: folder tree of videos, tar shards or both; one of either; or a glob, which takes the files it matches and
            everything below the folders it matches. Hidden files and other files are passed over.
        class_names: a label is the position in these.
        labels: video id → class name.

    Raises:
        UsageError: nothing there, no video among it, a video id twice, a label outside the class list.
    """
    return label_videos(find_videos(url), class_names, labels or {})


def find_videos(url: str) -> list[Found]:
    """The videos at a URL as `list_videos` gives them, but not labelled yet."""
    fs, path = open_filesystem(url)
    with storage_errors(url):
        files = glob_files(fs, path)
    found = [_whole_file(fs, file) for file in files if is_video(file.path)]
    shards = [file for file in files if is_shard(file.path)]
    with ThreadPoolExecutor(SHARDS_AT_ONCE) as pool:
        found += itertools.chain.from_iterable(pool.map(lambda shard: _members(fs, shard), shards))
    if not found:
        raise UsageError(_nothing_found(url, len(files), len(shards)))
    found.sort(key=lambda one: one.video.video_id)
    _check_ids([one.video for one in found])
    return found


def label_videos(found: Iterable[Found], class_names: Sequence[str], labels: Mapping[str, str]) -> list[Video]:
    """The videos with their labels; see `list_videos`."""
    ids = class_ids(class_names)
    videos = [
        dataclasses.replace(video, label=choose_label(video.video_id, (folder, stored), ids, labels))
        for video, folder, stored in found
    ]
    if labels and all(video.video_id not in labels for video in videos) and any(v.label is None for v in videos):
        raise UsageError(
            f"the labels name none of the {len(videos)} videos: they speak of {min(labels)!r}, "
            f"the first video is {videos[0].video_id!r} (no extension, no folder)"
        )
    return videos


@contextlib.contextmanager
def open_video(video: Video) -> Iterator[Path]:
    """A local path with the video's bytes and its extension, as long as the block lasts.

    A local file gives its own path. Anything else is copied piece by piece to a temporary file, in memory if there
    is ample room.

    Raises:
        VideoError: it vanished, may not be read or ends too early.
    """
    fs, path = open_filesystem(video.url)
    size, chunks = read_video(video)
    if is_local(fs) and video.offset is None:
        yield Path(path)
        return
    with spilled(chunks, size, posixpath.splitext(video.name)[1]) as copy:
        yield copy


def read_video(video: Video) -> tuple[int, Iterator[bytes]]:
    """Size of a video in bytes and its content, in pieces of a few MB.

    Raises:
        VideoError: as for `open_video`, at once or while the pieces are read.
    """
    fs, path = open_filesystem(video.url)
    with storage_errors(video.where, VideoError):
        if video.offset is not None and video.size is not None:
            start, size = video.offset, video.size
        else:
            start, size = 0, _readable_size(fs, path)
    return size, _pieces(fs, path, start, size, video.where)


def _pieces(fs: AbstractFileSystem, path: str, start: int, size: int, where: str) -> Iterator[bytes]:
    chunk_bytes = LOCAL_CHUNK_BYTES if is_local(fs) else REMOTE_CHUNK_BYTES
    for position in range(start, start + size, chunk_bytes):
        stop = min(position + chunk_bytes, start + size)
        with storage_errors(where, VideoError):
            piece = read_bytes(fs, path, position, stop)
        if len(piece) != stop - position:
            raise VideoError(f"{where}: cut off at byte {position - start + len(piece)} of {size}")
        yield piece


def _readable_size(fs: AbstractFileSystem, path: str) -> int:
    if not is_local(fs):
        return fs.size(path) or 0
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise VideoError(f"{path}: no plain file")
    with open(path, "rb"):
        return status.st_size


def _whole_file(fs: AbstractFileSystem, file: File) -> Found:
    video = Video(video_id_of(file.path), url_of(fs, file.path), label=None, offset=None, size=file.size)
    return Found(video, folder_of(file.path), stored=None)


def _members(fs: AbstractFileSystem, shard: File) -> list[Found]:
    url = url_of(fs, shard.path)
    return [
        Found(Video(video_id_of(name), url, label=None, offset=offset, size=size, member=name), folder_of(name), label)
        for name, offset, size, label in list_shard(fs, shard.path, shard.size)
    ]


def _check_ids(videos: Sequence[Video]) -> None:
    """Ids must be unique, and the names must be text that a table can hold."""
    if broken := [video for video in videos if re.search("[\ud800-\udfff]", video.where)]:
        raise UsageError(
            f"{len(broken)} paths are not UTF-8: {_some(ascii(video.where) for video in broken)}; rename them"
        )
    counts = Counter(video.video_id for video in videos)
    if repeated := [video_id for video_id, count in counts.items() if count > 1]:
        places = _some(video.where for video in videos if video.video_id == repeated[0])
        raise UsageError(
            f"{len(repeated)} video ids stand more than once: {_some(repeated)} ({repeated[0]}: {places}); "
            "the id is the file name without extension: rename, or choose fewer files with a glob"
        )


def _some(names: Iterable[str]) -> str:
    shown_names = list(names)
    more = f" and {len(shown_names) - NAMED_IN_ERRORS} more" if len(shown_names) > NAMED_IN_ERRORS else ""
    return ", ".join(shown_names[:NAMED_IN_ERRORS]) + more


def _nothing_found(url: str, num_files: int, num_shards: int) -> str:
    kinds = " ".join(sorted(suffix[1:] for suffix in VIDEO_SUFFIXES))
    others = f"{num_shards} tars without a video" if num_shards else f"{num_files} other files"
    seen = f"no video there, only {others}" if num_files else "nothing there"
    return f"{shown(url)}: {seen}; looked for {kinds}, and for tars of these"
