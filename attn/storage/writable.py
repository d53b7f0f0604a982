"""Check that an output can be written, before hours of work rather than after them."""

import contextlib
import errno
import os
from typing import Any

from attn.errors import UsageError
from attn.storage.error_messages import may_not
from attn.storage.location import Location
from attn.storage.store_manifest import NAME as MANIFEST

PROBE = ".attn-may-write"


def check_writable(url: str) -> None:
    """Refuse a folder that cannot be written to; it need not exist, and nothing is left in it.

    Local: the permissions of the nearest existing folder above are checked. S3: an upload is started and aborted, which
    needs the same permission, bucket and keys as later uploads and leaves neither an object nor a version nor bytes.
    The price: two requests. Other storages are not checked.

    Args:
        url: URL of the folder; local or s3://.

    Raises:
        UsageError: the folder cannot be written to; the message gives the reason and what to do.
    """
    folder = Location.at(url)
    with folder.errors():
        if folder.is_local:
            _check_local(folder.path)
        elif "s3" in folder.fs.protocol:
            _check_s3(folder)


def check_results_folder(url: str) -> None:
    """Check that a folder of results can be written to and is not a store.

    Raises:
        UsageError: as `check_writable`, or the folder is a store.
    """
    check_writable(url)
    folder = Location.at(url)
    if (folder / MANIFEST).exists():
        raise UsageError(f"{folder}: a store, which results would mix with. Choose another --out.")


def _check_local(path: str) -> None:
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def _check_s3(folder: Location) -> None:
    client: Any = folder.fs
    bucket, key, _ = client.split_path((folder / PROBE).path)
    try:
        upload = client.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
    except PermissionError as error:
        if not may_not(error):
            raise
        raise UsageError(
            f"{folder}: the credentials do not permit writing. Grant them s3:PutObject, or choose another folder."
        ) from error
    with contextlib.suppress(OSError):  # aborting may be denied: an upload without parts costs nothing
        client.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload["UploadId"])
