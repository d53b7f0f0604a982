"""Where Ray Train keeps what it knows of a run: any fsspec URL.

That is an empty marker alone: Ray writes a record only of checkpoints handed to it, and the states of a training are
kept without it. So no kill can tear anything of Ray's there.
"""

from pyarrow.fs import FileType, FSSpecHandler, PyFileSystem

from attn.errors import UsageError
from attn.storage.filesystem import open_filesystem, storage_errors


def ray_storage(url: str) -> tuple[PyFileSystem, str]:
    """Filesystem and path for `ray.train.RunConfig`; S3 through s3fs, as everywhere here.

    Raises:
        UsageError: no such kind of URL.
    """
    fs, path = open_filesystem(url)
    return PyFileSystem(FSSpecHandler(fs)), path


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
