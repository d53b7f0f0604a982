"""Explanations of storage errors in a few words, without credentials.

A client's own message is not shown if a better one is known, because it may quote signed URLs or key IDs.
"""

import errno
import os
import re
import textwrap

LONGEST_MESSAGE = 200
# Clients are recognised by name, so that none of them is imported for a local path.
_CLIENTS = {"botocore", "aiobotocore", "boto3", "aiohttp", "gcsfs", "azure", "requests", "urllib3"}
_CREDENTIALS = (
    "no credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE "
    "(for a public bucket, FSSPEC_S3_ANON=true)"
)
_BY_NAME = {
    "NoCredentialsError": _CREDENTIALS,
    "PartialCredentialsError": _CREDENTIALS,
    "CredentialRetrievalError": _CREDENTIALS,
    "ProfileNotFound": "the AWS profile does not exist; check AWS_PROFILE",
    "EndpointConnectionError": "the storage cannot be reached; check AWS_ENDPOINT_URL and the network",
    "ConnectTimeoutError": "the storage does not answer; check AWS_ENDPOINT_URL and the network",
    "ClientConnectorError": "the storage cannot be reached; check the address and the network",
}
_NOT_WITHOUT_THE_USER = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"}
_BY_CODE = {
    "NoSuchBucket": "the bucket does not exist; create it first, or correct the name",
    "InvalidAccessKeyId": "the access key is unknown; check AWS_ACCESS_KEY_ID, AWS_PROFILE and AWS_ENDPOINT_URL",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY or AWS_PROFILE",
    "ExpiredToken": "the credentials have expired; renew them",
    "NoSuchUpload": "the storage has lost the upload",
    "QuotaExceeded": "no space left (quota)",
    "XMinioStorageFull": "no space left",
    "RequestTimeTooSkewed": "this machine's clock is wrong; correct it",
}
_MISSING, _DENIED, _FILE, _FOLDER = (
    "does not exist",
    "permission denied",
    "a file exists where a folder is needed",
    "is a folder, not a file",
)
_FULL, _QUOTA, _READ_ONLY, _LONG_NAME = (
    "no space left",
    "no space left (quota)",
    "the file system is read-only",
    "the name is too long",
)
_BY_ERRNO = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _QUOTA,
    errno.EROFS: _READ_ONLY,
    errno.ENAMETOOLONG: _LONG_NAME,
}
_WAYS_OUT = {
    _MISSING: "Check the path.",
    _DENIED: "Change the permissions, or choose another path.",
    _FILE: "Choose another path, or remove the file.",
    _FOLDER: "Give a file.",
    _FULL: "Make room, or choose another disk.",
    _QUOTA: "Make room, or choose another disk.",
    _READ_ONLY: "Choose another path.",
    _LONG_NAME: "Choose a shorter one.",
}
"""Explanation → advice. The other explanations contain their advice."""


def reason(error: Exception) -> str | None:
    """One-line explanation of a storage error; None for other errors."""
    name, package = type(error).__name__, type(error).__module__.partition(".")[0]
    if name in _BY_NAME:
        return _BY_NAME[name]
    if isinstance(error, OSError):
        return _os_reason(error)
    return f"{name}: {shown(_one_line(error))}" if package in _CLIENTS else None


def way_out(explanation: str) -> str:
    """Advice for an explanation of `reason`, to end the message for a user; empty if the explanation contains it."""
    return _WAYS_OUT.get(explanation, "")


def shown(url: str) -> str:
    """URL as it may be logged: without a password, and without the query of a signed URL.

    AWS secrets may contain slashes, so in an `s3://` URL everything up to the last @ is removed if its first part
    contains a colon.
    """
    without_keys = re.sub(r"(s3a?://)(?!arn:)[^/\s:@]*:(?=\S)(?:\S*@|[^/\s]+)", r"\1", url)
    without_user = re.sub(r"(?<=://)[^/@\s]+@", "", without_keys)
    return re.sub(r"(https?://[^?\s]*)\?\S*", r"\1?…", without_user)


def holds_credentials(url: str) -> bool:
    """Whether a URL contains a user name, or an `s3://` URL has an invalid bucket name."""
    found = re.search(r"s3a?://(?!arn:)([^/]*)", url)
    return bool(re.match(r"\w+://[^/]*@", url)) or (found is not None and bool(re.search("[:@]", found[1])))


def bucket_is_missing(error: FileNotFoundError) -> bool:
    """Whether the bucket is missing, not only the object."""
    return _code(error) == "NoSuchBucket"


def may_not(error: Exception) -> bool:
    """Whether a storage accepts the credentials but denies the operation, as far as its answer shows."""
    return isinstance(error, PermissionError) and _code(error) not in _BY_CODE


def is_lasting(error: Exception) -> bool:
    """Whether a retry would fail in the same way: the file is missing, or access is denied."""
    if type(error).__name__ in _NOT_WITHOUT_THE_USER:
        return True
    lasting = isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError | IsADirectoryError)
    return lasting and _code(error) != "NoSuchUpload"  # a new upload may succeed


def _os_reason(error: OSError) -> str:
    if (code := _code(error)) in _BY_CODE:
        return _BY_CODE[code]
    if isinstance(error, FileNotFoundError):
        return _MISSING
    if isinstance(error, PermissionError):
        if isinstance(error.errno, int):
            return _DENIED
        return "access denied; check the credentials and their permissions for this bucket"
    if isinstance(error, NotADirectoryError | FileExistsError):
        return _FILE
    if isinstance(error, IsADirectoryError):
        return _FOLDER
    if isinstance(error, TimeoutError | ConnectionError):
        return "the storage does not answer; check the address and the network"
    if error.errno in _BY_ERRNO:
        return _BY_ERRNO[error.errno]
    return shown(os.strerror(error.errno) if type(error.errno) is int and not _code(error) else _one_line(error))


def _code(error: OSError) -> str:
    """S3's code for the error, such as NoSuchBucket, which s3fs keeps in the cause."""
    response = getattr(error.__cause__, "response", None) or {}
    return response.get("Error", {}).get("Code", "")


def _one_line(error: Exception) -> str:
    return textwrap.shorten(str(error), LONGEST_MESSAGE, placeholder=" …")
