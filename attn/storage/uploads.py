"""Uploads to S3 that a killed process left half-way: no listing shows them, but their bytes are paid for."""

import contextlib
import datetime
import email.utils
import posixpath
from collections.abc import Callable
from typing import Any

from fsspec import AbstractFileSystem

ABANDONED_AFTER_S = 24 * 3600.0


def give_up_uploads(
    fs: AbstractFileSystem, folder: str, ours: Callable[[str], bool], *, older_than_s: float = ABANDONED_AFTER_S
) -> None:
    """Gives up the begun uploads of some files directly in a folder on S3.

    Younger ones may be of a living writer, on whatever machine. How old they are the storage's own clock tells: ours
    may be wrong by a day. The first thousand are looked at: the next run does the rest. A storage that does not list
    them, or credentials that may not, keep them; then only a lifecycle rule of the bucket removes them, as it must
    those of other files.

    Args:
        fs: of any kind; nothing is done where it is not S3.
        folder: of the files.
        ours: told by a file's name.
        older_than_s: since they were begun.
    """
    if "s3" not in fs.protocol:
        return
    client: Any = fs
    bucket, key, _ = client.split_path(folder)
    prefix = f"{key}/" if key else ""
    with contextlib.suppress(OSError):
        begun = client.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
        oldest = _time_of(begun) - datetime.timedelta(seconds=older_than_s)
        for upload in begun.get("Uploads", []):
            parent, name = posixpath.split(upload["Key"])
            if parent == key and ours(name) and upload["Initiated"] < oldest:
                client.call_s3("abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def _time_of(answer: dict[str, Any]) -> datetime.datetime:
    """When a storage gave an answer; where it does not say, long ago, so that nothing seems old."""
    told = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        time = email.utils.parsedate_to_datetime(told)
    except ValueError:
        return datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
