"""Videos of a tar shard, from the index file beside it if that matches, otherwise from the tar's own headers.

With `<name>-000000.index.json`, listing a folder of shards takes one small read per shard. The index is used only if it
states the tar's exact size and is not longer than such a tar could need. An old index is removed before its shard is
written again.
"""

import errno
import json
import logging
import tarfile
from collections.abc import Sequence

from attn.storage.location import Location
from attn.video.file_names import SHARD_SUFFIX, is_video
from attn.video.tar_headers import LARGEST_READ_BYTES, Member, leaves_archive, read_members

log = logging.getLogger(__name__)

INDEX_SUFFIX = ".index.json"
TAR_BYTES_PER_INDEX_BYTE, MOST_INDEX_BYTES = 8, 64 << 20
"""Limits of an index beyond its first MiB. A labelled video takes at least 2 KiB of a tar, with its header and label
file, and about 150 bytes of the index. A longer index could exhaust the memory of the process that lists the shard."""


def index_of(shard: Location) -> Location:
    """Return the location of a shard's index."""
    return shard.at_path(shard.path.removesuffix(SHARD_SUFFIX) + INDEX_SUFFIX)


def dump_index(tar_bytes: int, members: Sequence[Member]) -> bytes:
    """Return the content of an index file."""
    videos = [member._asdict() for member in members]
    return json.dumps({"tar_bytes": tar_bytes, "videos": videos}, ensure_ascii=False, indent=0).encode()


def list_shard(shard: Location, size: int | None = None) -> list[Member]:
    """Return the videos of a shard in the order of the tar.

    Args:
        shard: location of the tar, which may be made by any tool.
        size: size of the tar in bytes, if known from a listing.

    Raises:
        UsageError: the tar is missing, unreadable or damaged.
    """
    with shard.errors():
        tar_bytes = size if size is not None else shard.fs.size(shard.path) or 0
        indexed = _read_index(index_of(shard), tar_bytes)
        return read_members(shard, tar_bytes) if indexed is None else indexed


def _read_index(index: Location, tar_bytes: int) -> list[Member] | None:
    try:
        content = json.loads(_read_limited(index, tar_bytes))
        members = [Member(**video) for video in content["videos"]]
        fits = content["tar_bytes"] == tar_bytes and all(_is_sound(member, tar_bytes) for member in members)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        fits, members = False, None
    if not fits:
        log.warning("%s: the index does not match its shard. Reading the headers of the shard.", index)
        return None
    return members


def _read_limited(index: Location, tar_bytes: int) -> bytes:
    """Read an index; raise ValueError, without reading all of it, if it is longer than such a tar could need."""
    most = LARGEST_READ_BYTES + min(tar_bytes // TAR_BYTES_PER_INDEX_BYTE, MOST_INDEX_BYTES)
    try:
        data = index.read_bytes(0, most + 1)
    except OSError as error:
        if error.errno == errno.EINVAL:  # S3 refuses a byte range of an empty object
            return b""
        raise
    if len(data) > most:
        raise ValueError(f"more than {most} bytes")
    return data


def _is_sound(member: Member, tar_bytes: int) -> bool:
    return (
        type(member.offset) is type(member.size) is int  # true and 10.5 compare like integers, but Arrow refuses them
        and is_video(member.name)
        and not leaves_archive(member.name)
        and isinstance(member.label, str | None)
        and tarfile.BLOCKSIZE <= member.offset <= member.offset + member.size <= tar_bytes
    )
