"""Tar shards in WebDataset's naming: thousands of small video files become a few large ones that a bucket serves well.

    <name>-000000.tar          <video_id>.<ext>, <video_id>.json, <video_id>.<ext>, …  in the order of the ids
    <name>-000000.index.json   where each video lies in it, so that listing takes one small read per shard

The price is a second copy of the videos. Each shard is built on a local disk and appears whole, then its index.

Differs: WebDataset takes all that follows the *first* dot of a member's name for its extension; a video id here is
all that stands before the *last* dot. Ids without dots mean the same to both.
"""

import dataclasses
import logging
import posixpath
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait

from fsspec import AbstractFileSystem

from attn.errors import FleetingError, VideoError
from attn.storage.attempts import PAUSES_S
from attn.storage.filesystem import atomic_path, join, open_filesystem, storage_errors, write_atomic
from attn.storage.listing import names_in
from attn.video.names import SHARD_SUFFIX, is_shard
from attn.video.shard_index import dump_index, index_path
from attn.video.source import Video, read_video
from attn.video.tar_headers import Member
from attn.video.tar_writer import TarWriter

log = logging.getLogger(__name__)

SHARDS_AT_ONCE = 4


@dataclasses.dataclass(frozen=True)
class Packed:
    """Fate of one video: its size in bytes, or why it was left out."""

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
    """Writes the videos into shards, some at a time, and says what became of each, in the order of the ids.

    The same videos give the same bytes, whatever else runs. Memory holds a few MB for each shard under way, some 40
    MB where it is uploaded; then the temporary folder must have room for these shards too.

    A video that cannot be read is left out, after some tries where that may pass. A shard that so loses all its videos
    is not written: its number stays free.

    Args:
        videos: what to pack.
        out_url: folder of the shards; shards of this name that stand there are replaced (see `clear_shards`).
        shard_bytes: bytes of videos at which a shard is closed. A video is never split: a larger one stands alone.
        name: first part of the shards' names.
        class_names: the label stored with a video is the name of its class id; without names none is stored.
        report: called after every video, from several threads.

    Raises:
        UsageError: the folder cannot be written to.
    """
    fs, folder = open_filesystem(out_url)
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
            return _write_shard(fs, join(folder, shard_name(name, number)), shard, add)
        except Exception as error:
            failures.append(error)
            stopping.set()
            raise

    with ThreadPoolExecutor(SHARDS_AT_ONCE) as pool:
        try:
            shards = [pool.submit(write, *shard) for shard in enumerate(plan_shards(videos, shard_bytes))]
            wait(shards, return_when=FIRST_EXCEPTION)
            if failures:
                raise failures[0]  # the others only stopped because of it
            return [packed for shard in shards for packed in shard.result()]
        finally:
            stopping.set()
            pool.shutdown(cancel_futures=True)


def plan_shards(videos: Iterable[Video], shard_bytes: int) -> Iterator[list[Video]]:
    """The videos of each shard, by video id: a shard is closed before the video that would make it too large."""
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
    """File name of a shard."""
    return f"{name}-{number:06d}{SHARD_SUFFIX}"


def find_shards(out_url: str, name: str) -> list[str]:
    """Names of the shards of this name in a folder, sorted."""
    return [found for found in _written(out_url, name) if is_shard(found)]


def clear_shards(out_url: str, name: str) -> None:
    """Removes the shards of this name from a folder, with their indices and what killed runs left of them.

    An index goes before its shard, so that none is ever believed of another shard.
    """
    fs, folder = open_filesystem(out_url)
    with storage_errors(out_url):
        for found in sorted(_written(out_url, name), key=is_shard):
            fs.rm_file(join(folder, found))


def _written(out_url: str, name: str) -> list[str]:
    fs, folder = open_filesystem(out_url)
    shard_or_index = rf"{re.escape(name)}-\d{{6,}}(\.tar|\.index\.json)"
    ours = re.compile(rf"{shard_or_index}|\.{shard_or_index}\.[0-9a-f]{{8}}\.tmp").fullmatch
    with storage_errors(out_url):
        return sorted(found for found in names_in(fs, folder) if ours(found))


def _write_shard(
    fs: AbstractFileSystem,
    path: str,
    videos: Sequence[Video],
    add: Callable[[TarWriter, Video], tuple[Member | None, Packed]],
) -> list[Packed]:
    with atomic_path(fs, path) as hidden:
        with open(hidden, "wb") as file:
            tar = TarWriter(file)
            added = [add(tar, video) for video in videos]
            tar_bytes = tar.close()
        members = [member for member, _ in added if member is not None]
        if not members:
            hidden.unlink()
    if members:
        write_atomic(fs, index_path(path), dump_index(tar_bytes, members))
    return [packed for _, packed in added]


def _member_name(video: Video) -> str:
    """The file's name, in its folder where it needs that to be told from others of the same name."""
    return posixpath.join(posixpath.dirname(video.video_id), video.name)


def _label(video: Video, class_names: Sequence[str]) -> str | None:
    return class_names[video.label] if class_names and video.label is not None else None


def _add(
    tar: TarWriter, video: Video, label: str | None, pause: Callable[[float], object]
) -> tuple[Member | None, Packed]:
    """Adds a video, or tells why not. The price of a storage that stays silent: some seconds for each of its videos."""
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
            log.warning("%s; trying again in %.0f s", error, pauses_s[0])
        pause(pauses_s.pop(0))
