"""Tar shards in WebDataset's naming: a few large files, which buckets serve well, for thousands of small videos.

    <name>-000000.tar          <video_id>.<ext>, <video_id>.json, <video_id>.<ext>, …  in the order of the IDs
    <name>-000000.index.json   position of each video in the tar, so that listing takes one small read per shard

The price is a second copy of the videos. Each shard is built on a local disk and published as a whole, followed by its
index.

Differs: WebDataset takes everything after the *first* dot of a member's name as its extension; a video ID here is
everything before the *last* dot. The two agree on IDs without dots.
"""

import dataclasses
import logging
import posixpath
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait

from attn.errors import FleetingError, VideoError
from attn.storage.listing import names_in
from attn.storage.location import Location
from attn.storage.retry import PAUSES_S
from attn.video.file_names import SHARD_SUFFIX, is_shard
from attn.video.shard_index import dump_index, index_of
from attn.video.source import Video, read_video
from attn.video.tar_headers import Member
from attn.video.tar_writer import TarWriter

log = logging.getLogger(__name__)

SHARDS_AT_ONCE = 4


@dataclasses.dataclass(frozen=True)
class Packed:
    """Result for one video: its size in bytes, or the error for which it was left out."""

    video: Video
    size: int
    error: str | None = None


def write_shards(
    videos: Iterable[Video],
    out_url: str,
    shard_bytes: int,
    name: str,
    *,
    class_names: Sequence[str] = (),
    report: Callable[[Packed], None] = lambda packed: None,
) -> list[Packed]:
    """Write videos into shards, several at a time, and return the result for each video in the order of IDs.

    Equal videos give equal bytes. Each shard in progress takes a few MB of memory, or about 40 MB and its size in the
    temporary folder if it is uploaded.

    A video that cannot be read is left out, after some retries if the error may pass. A shard that loses all its videos
    this way is not written, and its number is not used.

    Args:
        videos: videos to pack.
        out_url: URL of the folder for the shards; existing shards of this name are replaced (see `clear_shards`).
        shard_bytes: total size of videos at which a shard is closed. Videos are not split: a larger one gets a shard of
            its own.
        name: first part of the shards' names.
        class_names: class names by ID, stored as labels; without them, no labels are stored.
        report: called after every video, from several threads.

    Raises:
        UsageError: the folder is not writable.
    """
    folder = Location.at(out_url)
    stopping = threading.Event()
    failures: list[Exception] = []

    def write(number: int, shard: Sequence[Video]) -> list[Packed]:
        def add(tar: TarWriter, video: Video) -> tuple[Member | None, Packed]:
            if stopping.is_set():
                raise CancelledError
            member, packed = _add(tar, video, _label(video, class_names), stopping.wait)
            report(packed)
            return member, packed

        try:
            return _write_shard(folder / shard_name(name, number), shard, add)
        except Exception as error:
            failures.append(error)
            stopping.set()
            raise

    with ThreadPoolExecutor(SHARDS_AT_ONCE) as pool:
        try:
            shards = [pool.submit(write, *shard) for shard in enumerate(plan_shards(videos, shard_bytes))]
            wait(shards, return_when=FIRST_EXCEPTION)
            if failures:
                raise failures[0]  # the other shards stopped because of this error
            return [packed for shard in shards for packed in shard.result()]
        finally:
            stopping.set()
            pool.shutdown(cancel_futures=True)


def plan_shards(videos: Iterable[Video], shard_bytes: int) -> Iterator[list[Video]]:
    """Yield the videos of each shard, sorted by ID. A shard is closed before a video that would make it too large."""
    shard: list[Video] = []
    filled = 0
    for video in sorted(videos, key=lambda one: one.video_id):
        size = video.size or 0
        if shard and filled + size > shard_bytes:
            yield shard
            shard, filled = [], 0
        shard.append(video)
        filled += size
    if shard:
        yield shard


def shard_name(name: str, number: int) -> str:
    """Return the file name of a shard."""
    return f"{name}-{number:06d}{SHARD_SUFFIX}"


def find_shards(out_url: str, name: str) -> list[str]:
    """Return the file names of the shards of this name in a folder, sorted."""
    return [found for found in _written(out_url, name) if is_shard(found)]


def clear_shards(out_url: str, name: str) -> None:
    """Remove the shards of this name from a folder, with their indices and temporary files of killed runs.

    An index is removed before its shard, so that it is never used for another shard.
    """
    folder = Location.at(out_url)
    with folder.errors():
        for found in sorted(_written(out_url, name), key=is_shard):
            (folder / found).remove()


def _written(out_url: str, name: str) -> list[str]:
    folder = Location.at(out_url)
    shard_or_index = rf"{re.escape(name)}-\d{{6,}}(\.tar|\.index\.json)"
    ours = re.compile(rf"{shard_or_index}|\.{shard_or_index}\.[0-9a-f]{{8}}\.tmp").fullmatch
    with folder.errors():
        return sorted(found for found in names_in(folder) if ours(found))


def _write_shard(
    file: Location,
    videos: Sequence[Video],
    add: Callable[[TarWriter, Video], tuple[Member | None, Packed]],
) -> list[Packed]:
    with file.atomic_path() as hidden:
        with open(hidden, "wb") as opened:
            tar = TarWriter(opened)
            added = [add(tar, video) for video in videos]
            tar_bytes = tar.close()
        members = [member for member, _ in added if member is not None]
        if not members:
            hidden.unlink()
    if members:
        index_of(file).write_atomic(dump_index(tar_bytes, members))
    return [packed for _, packed in added]


def _member_name(video: Video) -> str:
    """Return the name of the video's file, with its folder if the ID contains it."""
    return posixpath.join(posixpath.dirname(video.video_id), video.name)


def _label(video: Video, class_names: Sequence[str]) -> str | None:
    return class_names[video.label] if class_names and video.label is not None else None


def _add(
    tar: TarWriter, video: Video, label: str | None, pause: Callable[[float], object]
) -> tuple[Member | None, Packed]:
    """Add a video, or return the error. A storage that does not answer costs some seconds for each of its videos."""
    pauses_s = list(PAUSES_S)
    while True:
        try:
            size, chunks = read_video(video)
            return tar.add_video(_member_name(video), size, chunks, source=video.where, label=label), Packed(
                video, size
            )
        except VideoError as error:
            if not pauses_s or not isinstance(error, FleetingError):
                return None, Packed(video, size=0, error=str(error))
            log.warning("Retrying in %.0f s: %s", pauses_s[0], error)
        pause(pauses_s.pop(0))
