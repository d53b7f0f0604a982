"""One line for every way a storage refuses, and no secret in it."""

import errno
import re

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from s3fs.errors import translate_boto_error

from attn.storage.error_messages import reason, shown, way_out


def s3_error(code: str, message: str = "from the server") -> Exception:
    return translate_boto_error(ClientError({"Error": {"Code": code, "Message": message}}, "GetObject"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileNotFoundError(errno.ENOENT, "x"), "does not exist"),
        (s3_error("NoSuchKey"), "does not exist"),
        (s3_error("NoSuchBucket"), "the bucket does not exist; create it first, or correct the name"),
        (PermissionError(errno.EACCES, "x"), "permission denied"),
        (s3_error("AccessDenied"), "access denied; check the credentials and their permissions for this bucket"),
        (
            s3_error("InvalidAccessKeyId", "no AKIAKEY here"),
            "the access key is unknown; check AWS_ACCESS_KEY_ID, AWS_PROFILE and AWS_ENDPOINT_URL",
        ),
        (s3_error("SignatureDoesNotMatch"), "the secret key is wrong; check AWS_SECRET_ACCESS_KEY or AWS_PROFILE"),
        (s3_error("ExpiredToken"), "the credentials have expired; renew them"),
        (s3_error("RequestTimeTooSkewed"), "this machine's clock is wrong; correct it"),
        (s3_error("NoSuchUpload"), "the storage has lost the upload"),
        (s3_error("QuotaExceeded"), "no space left (quota)"),
        (s3_error("403"), "access denied; check the credentials and their permissions for this bucket"),
        (s3_error("InvalidRange", "no such range"), "[Errno 22] no such range"),
        (
            s3_error("Unheard"),
            "[Errno 5] An error occurred (Unheard) when calling the GetObject operation: from the server",
        ),
        (OSError(errno.ENOSPC, "x"), "no space left"),
        (OSError(errno.EROFS, "x"), "the file system is read-only"),
        (OSError(errno.ENAMETOOLONG, "x"), "the name is too long"),
        (OSError(errno.EIO, "x"), "Input/output error"),
        (TimeoutError(), "the storage does not answer; check the address and the network"),
        (ValueError("a bug"), None),
    ],
)
def test_reason(error, expected):
    assert reason(error) == expected


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ENOSPC, errno.EROFS])
def test_a_way_out_is_a_sentence(number):
    assert re.fullmatch(r"[A-Z][^.]*\.", way_out(reason(OSError(number, "x"))))


def test_an_explanation_with_advice_needs_no_other():
    assert way_out(reason(s3_error("NoSuchBucket"))) == ""


def test_clients_errors():
    assert "AWS_ACCESS_KEY_ID" in str(reason(NoCredentialsError()))
    assert "AWS_ENDPOINT_URL" in str(reason(EndpointConnectionError(endpoint_url="http://x")))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/data/a@b?c.avi", "/data/a@b?c.avi"),
        ("s3://bucket/a@b?c.avi", "s3://bucket/a@b?c.avi"),
        ("s3://bucket: does not exist", "s3://bucket: does not exist"),
        ("s3://bucket:", "s3://bucket:"),
        ("ftp://user:secret@host/x", "ftp://host/x"),
        ("https://host/a.avi?X-Amz-Signature=secret", "https://host/a.avi?…"),
        ("s3://AKIAKEY:secret@bucket/a:b.avi", "s3://bucket/a:b.avi"),
        ("s3://AKIAKEY:s@ec/ret+@bucket/a.avi is", "s3://bucket/a.avi is"),
        ("s3a://AKIAKEY:secret/a.avi", "s3a:///a.avi"),
        ("s3://bucket/a:b@c.avi", "s3://bucket/a:b@c.avi"),
        ("s3://arn:aws:s3:us-east-1:1:accesspoint/p/a", "s3://arn:aws:s3:us-east-1:1:accesspoint/p/a"),
        ("403 for https://u:secret@h/a?token=secret now", "403 for https://h/a?… now"),
    ],
)
def test_secrets_are_not_shown(url, expected):
    assert shown(url) == expected
