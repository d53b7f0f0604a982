"""Storage of Ray Train for a run, on any fsspec URL.

Ray Train writes only an empty marker there. It records only checkpoints that are reported to it, and
`attn.training.checkpoints` does not report any, so a kill cannot truncate a file of Ray.
"""

from pyarrow.fs import FileType, FSSpecHandler, PyFileSystem

from attn.errors import UsageError
from attn.storage.filesystem import storage_errors
from attn.storage.location import Location


def ray_storage(url: str) -> tuple[PyFileSystem, str]:
    """Return the filesystem and path for `ray.train.RunConfig`; S3 is accessed through s3fs.

    Raises:
        UsageError: the URL scheme is not supported.
    """
    place = Location.at(url)
    return PyFileSystem(FSSpecHandler(place.fs)), place.path


def check_storage(url: str) -> None:
    """Check on a worker's machine that the driver's run folder is visible; Ray would notice only after an epoch.

    Raises:
        UsageError: this machine does not see the folder, or cannot read it.
    """
    fs, path = ray_storage(url)
    with storage_errors(url):
        found = fs.get_file_info(path).type
    if found == FileType.NotFound:
        raise UsageError(f"{url}: not visible on all machines. Choose an --out on S3 or on a shared disk.")
