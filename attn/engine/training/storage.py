"""Where Ray Train keeps its checkpoints: any fsspec URL, and local files that appear whole or not at all.

Ray overwrites its record of checkpoints in place; a kill at that instant would leave a torn record and lose the run.
"""

import os
import secrets
from io import FileIO
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from pyarrow.fs import FileType, FSSpecHandler, PyFileSystem

from attn.errors import UsageError
from attn.storage.filesystem import is_local, open_filesystem, storage_errors


class AtomicLocalFileSystem(LocalFileSystem):
    """Local files; one that is written stands under its name only once it is closed after a good last write."""

    cachable = False

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **settings: Any) -> Any:
        return _AtomicFile(path) if mode == "wb" else super()._open(path, mode, block_size, **settings)


class _AtomicFile(FileIO):
    def __init__(self, path: str):
        self._target, self._hidden, self._good = path, f"{path}.{secrets.token_hex(4)}.tmp", True
        super().__init__(self._hidden, "w")

    def write(self, data: Any) -> int:
        self._good = False
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view):  # a raw file may take less than it is given
            written += super().write(view[written:]) or 0
        self._good = True
        return written

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        if self._good:
            os.replace(self._hidden, self._target)
        else:
            os.unlink(self._hidden)


def ray_storage(url: str) -> tuple[PyFileSystem, str]:
    """Filesystem and path for `ray.train.RunConfig`; S3 through s3fs, as everywhere here.

    Raises:
        UsageError: no such kind of URL.
    """
    fs, path = open_filesystem(url)
    return PyFileSystem(FSSpecHandler(AtomicLocalFileSystem() if is_local(fs) else fs)), path


def check_storage(url: str) -> None:
    """Refuses, on a worker's machine, a folder of the run that is not the driver's: Ray notices after an epoch only.

    Raises:
        UsageError: this machine does not see it, or cannot look.
    """
    fs, path = ray_storage(url)
    with storage_errors(url):
        found = fs.get_file_info(path).type
    if found == FileType.NotFound:
        raise UsageError(f"{url} is not seen by all machines of the cluster; give --out on S3 or on a shared disk")
