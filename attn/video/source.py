"""Videos of a folder tree, tar shards, a single file or a glob, on any storage, as one sorted list.

A `Video` is the location of its bytes. Nothing is copied before `open_video`, and a whole local file is never copied.
"""

import contextlib
import dataclasses
import itertools
import logging
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from attn.classes import ClassFinder
from attn.errors import FleetingError, UsageError, VideoError
from attn.storage.error_messages import is_lasting, shown
from attn.storage.filesystem import storage_errors
from attn.storage.left_out import LeftOut, left_out
from attn.storage.listing import File, glob_files
from attn.storage.location import Location
from attn.video.file_names import NO_VIDEO_SUFFIXES, SHARD_SUFFIX, VIDEO_SUFFIXES, is_shard, is_video, video_id_of
from attn.video.found import Found, Video, name_videos, paths_of
from attn.video.ids import KnownIds
from attn.video.labels import choose_label
from attn.video.shard_index import list_shard
from attn.video.spill import spilled
from attn.video.unchanged import HEADER_BYTES, Version, is_header_of, version_of

__all__ = [
    "Found",
    "Video",
    "check_readable",
    "find_videos",
    "label_videos",
    "list_videos",
    "open_video",
    "read_video",
]

log = logging.getLogger(__name__)

LOCAL_CHUNK_BYTES = 1 << 20
REMOTE_CHUNK_BYTES = 8 << 20
SHARDS_AT_ONCE = 16


class Listing(NamedTuple):
    """Videos at a URL, and files there that were left out although they may be videos."""

    found: list[Found]
    left_out: LeftOut


def list_videos(url: str, class_names: Sequence[str] = (), labels: Mapping[str, str] | None = None) -> list[Video]:
    """Return the videos at a URL, sorted by ID.

    The label is the name of the parent folder if that is a class name, otherwise the label stored in the tar, otherwise
    the one in `labels`, otherwise None.

    Args:
        url: URL of a folder tree with videos, tar shards or both, of a single video or shard, or a glob, which selects
            the files it matches and everything below the folders it matches. Hidden files and other files are ignored.
        class_names: class names; a label is an index into them.
        labels: class names by ID, file name or path of a video.

    Raises:
        UsageError: the URL has no files or no videos, IDs are duplicates, or a label is not in the class list.
    """
    return label_videos(find_videos(url).found, class_names, labels or {})


def find_videos(url: str) -> Listing:
    """Return the videos at a URL as `list_videos` does, but without labels. A warning counts files left out."""
    place = Location.at(url)
    with place.errors():
        files = glob_files(place)
    root = _root(place.path, files)
    whole = [_whole_file(place, file, root) for file in files if is_video(file.path)]
    shards = [file for file in files if is_shard(file.path)]
    with ThreadPoolExecutor(SHARDS_AT_ONCE) as pool:
        inside = list(itertools.chain.from_iterable(pool.map(lambda shard: _members(place, shard, root), shards)))
    found = whole + [one for one in inside if is_video(one.path)]
    others = [f"{one.shard}{SHARD_SUFFIX}/{one.path}" for one in inside if not is_video(one.path)]
    others += [file.path.removeprefix(root) for file in files if not (is_video(file.path) or is_shard(file.path))]
    untaken = left_out(others, NO_VIDEO_SUFFIXES)
    if untaken.files:
        log.warning("%s: %s. Rename, convert or unpack those that are videos.", shown(url), untaken.told("videos"))
    if not found:
        raise UsageError(_nothing_found(url, len(files), len(shards)))
    return Listing(name_videos(found), untaken)


def label_videos(found: Iterable[Found], class_names: Sequence[str], labels: Mapping[str, str]) -> list[Video]:
    """Return the videos with their labels; see `list_videos`."""
    classes, named = ClassFinder(class_names), list(found)
    by_id = _labels_by_id(labels, paths_of(one.video for one in named))
    videos = [
        dataclasses.replace(one.video, label=choose_label(one.video.video_id, (one.folder, one.stored), classes, by_id))
        for one in named
    ]
    if labels and not by_id and any(video.label is None for video in videos):
        raise UsageError(
            f"the labels match none of the {len(videos)} videos: the first label is that of {min(labels)!r}, the first "
            f"video is {videos[0].video_id!r}. Use the IDs or paths of the videos in the labels."
        )
    return videos


def _labels_by_id(labels: Mapping[str, str], paths: Mapping[str, str]) -> dict[str, str]:
    listed: dict[str, str] = {}
    ids = KnownIds(paths).find_all(list(labels), ["the labels"] * len(labels))
    for video_id, path in zip(ids, labels, strict=True):
        if video_id is not None and labels[first := listed.setdefault(video_id, path)] != labels[path]:
            raise UsageError(
                f"video {video_id!r} has two labels, {labels[first]!r} as {first!r} and {labels[path]!r} as "
                f"{path!r}. Remove one of the two lines, or add the other video."
            )
    return {video_id: labels[path] for video_id, path in listed.items()}


@contextlib.contextmanager
def open_video(video: Video) -> Iterator[Path]:
    """Provide a local path with the bytes and the extension of a video while the block runs.

    The path of a local file is its own. Other videos are copied piece by piece to a temporary file, in memory if there
    is ample room.

    Raises:
        VideoError: the video is missing, not readable or cut off; it was changed while the block ran, even if the block
            raised a `VideoError`; or the block raised a `VideoError` and the disk cannot read a part of the file.
    """
    file = Location.at(video.url)
    size, chunks = read_video(video)
    if not file.is_local or video.offset is not None:
        with spilled(chunks, size, posixpath.splitext(video.name)[1]) as copy:
            yield copy
        return
    with _storage_of(video.where):
        before = version_of(file)
    try:
        yield Path(file.path)
    except VideoError as error:  # a file that changes while it is read seems damaged
        _check_unchanged(file, before, video.where)
        if not isinstance(error, FleetingError):
            check_readable(video)
        raise
    _check_unchanged(file, before, video.where)


def check_readable(video: Video) -> None:
    """Check that a local file that seems damaged or cut off can be read from its disk.

    A decoder opens the file itself, and cannot distinguish a read error of the disk from damage. A video in a tar or on
    other storage needs no check, because it was read here before it was decoded.

    Raises:
        FleetingError: a part cannot be read now.
    """
    if Location.at(video.url).is_local and video.offset is None:
        _, pieces = read_video(video)
        for _ in pieces:
            pass


def read_video(video: Video) -> tuple[int, Iterator[bytes]]:
    """Return the size of a video in bytes and its content, in pieces of a few MB.

    Files that were replaced are detected: a member of a tar must be preceded by its header, which costs no extra
    request, and all pieces must be of one version of the file.

    Raises:
        VideoError: see `open_video`; raised at once or while the pieces are read.
    """
    file = Location.at(video.url)
    if video.offset is not None and video.size is not None:
        return video.size, _member_pieces(file, video, video.offset, video.size)
    with _storage_of(video.where):
        before = version_of(file)
    return before.size, _file_pieces(file, before, video.where)


def _file_pieces(file: Location, before: Version, where: str) -> Iterator[bytes]:
    count = 0
    for piece in _pieces(file, 0, before.size, where):
        yield piece
        count += 1
    if count > 1 or file.is_local:
        _check_unchanged(file, before, where)


def _member_pieces(shard: Location, video: Video, offset: int, size: int) -> Iterator[bytes]:
    def read_header() -> bytes:
        with _storage_of(video.where):
            return shard.read_bytes(offset - HEADER_BYTES, offset)

    pieces = _pieces(shard, offset, size, video.where, HEADER_BYTES)
    first = next(pieces)
    header = first[:HEADER_BYTES]
    if not is_header_of(header, video.member or "", size):
        raise VideoError(f"{video.where}: the shard changed since it was listed. Run again.")
    yield first[HEADER_BYTES:]
    last = None
    for last in pieces:
        yield last
    if last is not None and read_header() != header:
        raise FleetingError(f"{video.where}: changed while it was read. Run again.")


def _pieces(file: Location, start: int, size: int, where: str, lead: int = 0) -> Iterator[bytes]:
    """Yield the bytes from `start` on; the first piece also contains the `lead` bytes before `start`.

    A member that ends too early belongs to a shard that is cut off. A whole file that ends too early was changed a
    moment ago, or the storage's response was cut off; a retry may succeed.
    """
    chunk_bytes = LOCAL_CHUNK_BYTES if file.is_local else REMOTE_CHUNK_BYTES
    begin = start - lead
    for stop in (*range(start + chunk_bytes, start + size, chunk_bytes), start + size):
        if begin == stop:
            return
        with _storage_of(where):
            piece = file.read_bytes(begin, stop)
        if len(piece) != stop - begin:
            kind = VideoError if lead else FleetingError
            raise kind(f"{where}: cut off at byte {max(0, begin - start + len(piece))} of {size}")
        yield piece
        begin = stop


@contextlib.contextmanager
def _storage_of(where: str) -> Iterator[None]:
    """Raise errors of a storage as errors of the video: `FleetingError`, unless a retry would fail in the same way."""
    try:
        yield
    except Exception as error:
        with storage_errors(where, VideoError if is_lasting(error) else FleetingError):
            raise


def _check_unchanged(file: Location, before: Version, where: str) -> None:
    with _storage_of(where):
        after = version_of(file)
    if after != before:
        raise FleetingError(f"{where}: changed while it was read. Run again.")


def _root(path: str, files: Sequence[File]) -> str:
    """Return the listed folder: that of a single file, or that before the first wildcard of a glob."""
    folder = path.rstrip("/") + "/"
    if files and all(file.path.startswith(folder) for file in files):
        return folder
    return re.split(r"[*?[]", path, maxsplit=1)[0].rpartition("/")[0] + "/"


def _whole_file(place: Location, file: File, root: str) -> Found:
    video = Video(video_id_of(file.path), place.at_path(file.path).url, label=None, offset=None, size=file.size)
    return Found(video, file.path.removeprefix(root))


def _members(place: Location, shard: File, root: str) -> list[Found]:
    tar, folder = place.at_path(shard.path), posixpath.splitext(shard.path.removeprefix(root))[0]
    return [
        Found(Video(video_id_of(name), tar.url, label=None, offset=offset, size=size, member=name), name, folder, label)
        for name, offset, size, label in list_shard(tar, shard.size)
    ]


def _nothing_found(url: str, num_files: int, num_shards: int) -> str:
    kinds = " ".join(sorted(suffix[1:] for suffix in VIDEO_SUFFIXES))
    others = f"{num_shards} tars without videos" if num_shards else f"{num_files} other files"
    seen = f"no videos found, only {others}" if num_files else "no files found"
    return f"{shown(url)}: {seen}. Supported formats: {kinds}, and tars of these."
