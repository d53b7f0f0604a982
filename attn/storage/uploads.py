"""Multipart uploads to S3 that a killed process left unfinished: unlisted, but billed."""

import contextlib
import datetime
import email.utils
import posixpath
from collections.abc import Callable
from typing import Any

from attn.storage.location import Location

ABANDONED_AFTER_S = 24 * 3600.0


def give_up_uploads(folder: Location, ours: Callable[[str], bool], *, older_than_s: float = ABANDONED_AFTER_S) -> None:
    """Abort unfinished uploads of some files directly in a folder on S3.

    Recent uploads are kept, because they may belong to a running writer on another machine. Their age is measured by
    the storage's clock, because the local clock may be wrong by a day. Each call considers the first thousand uploads;
    the next run aborts the rest. If the storage does not list uploads, or the credentials do not permit it, nothing is
    aborted; the uploads are then removed only by a lifecycle rule of the bucket, like those of other files.

    Args:
        folder: folder of the files; nothing is done unless it is on S3.
        ours: function of a file's name that returns whether its uploads may be aborted.
        older_than_s: minimum age of an upload in seconds.
    """
    if "s3" not in folder.fs.protocol:
        return
    client: Any = folder.fs
    bucket, key, _ = client.split_path(folder.path)
    prefix = f"{key}/" if key else ""
    with contextlib.suppress(OSError):
        begun = client.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
        oldest = _time_of(begun) - datetime.timedelta(seconds=older_than_s)
        for upload in begun.get("Uploads", []):
            parent, name = posixpath.split(upload["Key"])
            if parent == key and ours(name) and upload["Initiated"] < oldest:
                client.call_s3("abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def _time_of(answer: dict[str, Any]) -> datetime.datetime:
    """Time of a storage's response; if the response lacks it, a date so early that no upload appears old."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        time = email.utils.parsedate_to_datetime(date)
    except ValueError:
        return datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
