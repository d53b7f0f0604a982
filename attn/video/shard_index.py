"""What is in a tar shard: from the small index beside it if that belongs to it, else from the tar's own headers.

`<name>-000000.index.json` makes listing a folder of shards one small read each. It is believed only if it tells the
tar's exact size and is no longer than that tar could need; whoever writes a shard removes the old index first.
"""

import errno
import json
import logging
import tarfile
from collections.abc import Sequence

from fsspec import AbstractFileSystem

from attn.storage.filesystem import read_bytes, storage_errors, url_of
from attn.video.names import SHARD_SUFFIX, is_video
from attn.video.tar_headers import LARGEST_READ_BYTES, Member, leaves_archive, read_members

log = logging.getLogger(__name__)

INDEX_SUFFIX = ".index.json"
TAR_BYTES_PER_INDEX_BYTE, MOST_INDEX_BYTES = 8, 64 << 20
"""Of an index beyond its first MiB: a labelled video takes 2 KiB of a tar at least, with its header and its label's
file, and some 150 bytes of the index. A longer one could fill the memory of whoever lists the shard."""


def index_path(path: str) -> str:
    """Path of the index of a shard."""
    return path.removesuffix(SHARD_SUFFIX) + INDEX_SUFFIX


def dump_index(tar_bytes: int, members: Sequence[Member]) -> bytes:
    """Content of an index file."""
    videos = [member._asdict() for member in members]
    return json.dumps({"tar_bytes": tar_bytes, "videos": videos}, ensure_ascii=False, indent=0).encode()


def list_shard(fs: AbstractFileSystem, path: str, size: int | None = None) -> list[Member]:
    """The videos of a shard, in its order.

    Args:
        fs, path: the tar, of any origin.
        size: its bytes, if a listing has told them already.

    Raises:
        UsageError: it is missing, unreadable or damaged.
    """
    with storage_errors(url_of(fs, path)):
        tar_bytes = size if size is not None else fs.size(path) or 0
        indexed = _read_index(fs, path, tar_bytes)
        return read_members(fs, path, tar_bytes) if indexed is None else indexed


def _read_index(fs: AbstractFileSystem, path: str, tar_bytes: int) -> list[Member] | None:
    try:
        content = json.loads(_read_limited(fs, index_path(path), tar_bytes))
        members = [Member(**video) for video in content["videos"]]
        fits = content["tar_bytes"] == tar_bytes and all(_is_sound(member, tar_bytes) for member in members)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        fits, members = False, None
    if not fits:
        log.warning("%s does not belong to its shard; the shard's own headers are read", index_path(path))
        return None
    return members


def _read_limited(fs: AbstractFileSystem, path: str, tar_bytes: int) -> bytes:
    """Raises ValueError for an index that is longer than any of such a tar, without having read all of it."""
    most = LARGEST_READ_BYTES + min(tar_bytes // TAR_BYTES_PER_INDEX_BYTE, MOST_INDEX_BYTES)
    try:
        data = read_bytes(fs, path, 0, most + 1)
    except OSError as error:
        if error.errno == errno.EINVAL:  # S3 has no range of an object without bytes
            return b""
        raise
    if len(data) > most:
        raise ValueError(f"more than {most} bytes")
    return data


def _is_sound(member: Member, tar_bytes: int) -> bool:
    return (
        type(member.offset) is type(member.size) is int  # true and 10.5 compare like numbers, and are none to Arrow
        and is_video(member.name)
        and not leaves_archive(member.name)
        and isinstance(member.label, str | None)
        and tarfile.BLOCKSIZE <= member.offset <= member.offset + member.size <= tar_bytes
    )
