"""Writer of a tar whose bytes depend only on the names and contents of its members.

No time, owner or machine is stored. Headers are USTAR, with a PAX header before a name that is not ASCII or too long.
Unlike with `tarfile`, a member whose source fails is removed again, so that one bad video does not spoil its shard.
"""

import json
import tarfile
from collections.abc import Iterable
from hashlib import sha256
from typing import BinaryIO

from attn.errors import VideoError
from attn.video.tar_headers import Member


class TarWriter:
    """Tar in a seekable file that is open for writing."""

    def __init__(self, file: BinaryIO):
        self._file = file

    def add_video(self, name: str, size: int, chunks: Iterable[bytes], *, source: str, label: str | None) -> Member:
        """Append a video, followed by `<stem>.json` with `label`, `source` and the video's `sha256`.

        Raises:
            VideoError: the chunks end too early or fail; the tar is unchanged.
        """
        start = self._file.tell()
        try:
            return self._add(name, size, chunks, source, label)
        except VideoError:
            self._file.seek(start)
            self._file.truncate()
            raise

    def close(self) -> int:
        """Write the end of the tar and return its size in bytes; the file stays open."""
        self._file.write(tarfile.NUL * 2 * tarfile.BLOCKSIZE)
        self._pad(tarfile.RECORDSIZE)
        return self._file.tell()

    def _add(self, name: str, size: int, chunks: Iterable[bytes], source: str, label: str | None) -> Member:
        self._file.write(_header(name, size))
        offset = self._file.tell()
        digest = sha256()
        for chunk in chunks:
            digest.update(chunk)
            self._file.write(chunk)
        if self._file.tell() - offset != size:
            raise VideoError(f"{name}: {self._file.tell() - offset} bytes received instead of {size}")
        self._pad(tarfile.BLOCKSIZE)
        notes = {"label": label, "sha256": digest.hexdigest(), "source": source}
        self._add_small(name.rpartition(".")[0] + ".json", json.dumps(notes, ensure_ascii=False).encode())
        return Member(name, offset, size, label)

    def _add_small(self, name: str, data: bytes) -> None:
        self._file.write(_header(name, len(data)) + data)
        self._pad(tarfile.BLOCKSIZE)

    def _pad(self, block_bytes: int) -> None:
        self._file.write(tarfile.NUL * (-self._file.tell() % block_bytes))


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT, encoding="utf-8", errors="strict")
