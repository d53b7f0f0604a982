"""What a distant storage refuses is asked of it again; what will not change is not."""

import errno
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from moto.s3.exceptions import S3ClientError
from moto.s3.models import S3Backend
from s3fs.errors import translate_boto_error

from attn.errors import UsageError
from attn.storage import retry
from attn.storage.location import Location
from attn.storage.retry import retried


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "PAUSES_S", (0.0, 0.0))


def s3_error(code: str) -> OSError:
    return translate_boto_error(ClientError({"Error": {"Code": code, "Message": "no"}}, "PutObject"))


def raising(*errors: Exception) -> tuple[Callable[[], None], list[int]]:
    """An attempt that meets these errors and then none, and its calls."""
    left, calls = list(errors), list[int]()

    def attempt() -> None:
        calls.append(1)
        if left:
            raise left.pop(0)

    return attempt, calls


@pytest.mark.parametrize(
    "error",
    [TimeoutError(), OSError(errno.EIO, "x"), s3_error("InternalError"), s3_error("NoSuchUpload")],
)
def test_what_may_pass_is_tried_again(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    attempt, calls = raising(error, error)
    retried(attempt, "s3://u:secret@bucket/part")
    assert len(calls) == 3
    assert caplog.text.count("s3://bucket/part: ") == 2
    attempt, calls = raising(error, error, error, error)
    with pytest.raises(type(error)):
        retried(attempt, "s3://bucket/part")
    assert len(calls) == 3


@pytest.mark.parametrize(
    "error",
    [s3_error("NoSuchBucket"), s3_error("AccessDenied"), NoCredentialsError(), ValueError("a bug")],
)
def test_what_lasts_is_raised_at_once(error: Exception) -> None:
    attempt, calls = raising(error)
    with pytest.raises(type(error)):
        retried(attempt, "s3://bucket/part")
    assert len(calls) == 1


def upload(name: str, data: bytes) -> None:
    path = Location.at(name)
    with path.atomic_path() as scratch:
        scratch.write_bytes(data)


@pytest.fixture
def refusals(s3: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """As many uploads as it says the server has no room for."""
    put, left = S3Backend.put_object, [0]

    def put_or_refuse(*args: Any, **settings: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise S3ClientError("QuotaExceeded", "full")
        return put(*args, **settings)

    monkeypatch.setattr(S3Backend, "put_object", put_or_refuse)
    return left


@pytest.mark.parametrize("write", [upload, lambda name, data: Location.at(name).write_atomic(data)])
def test_a_file_that_the_storage_refuses_twice_is_there(
    s3: str, refusals: list[int], write: Callable[[str, bytes], None]
) -> None:
    refusals[0] = 2
    write(f"{s3}/a", b"content")
    assert Location.at(f"{s3}/a").read_bytes() == b"content"
    refusals[0] = 9
    with pytest.raises(UsageError, match=r"/b: no space left \(quota\)"):
        write(f"{s3}/b", b"content")
