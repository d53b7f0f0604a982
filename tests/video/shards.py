"""Files and tar shards with known bytes in them."""

import io
import tarfile

from attn.storage.location import Location


def put(url: str, data: bytes = b"video") -> str:
    """Writes a file; its URL."""
    Location.at(url).write_atomic(data)
    return url


def tar_of(*files: tuple[str, bytes]) -> bytes:
    """A tar archive of (name, content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
