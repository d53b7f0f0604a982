"""What cannot be written is refused before anything is, with what to do; asking leaves nothing behind."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.storage.writable import check_results_folder, check_writable

ActAs = Callable[..., None]
ALL, READ = ["s3:*"], ["s3:Get*", "s3:List*"]


def in_bucket(url: str) -> tuple[list[str], list[str]]:
    """Objects and begun uploads of a bucket, as the server remembers them."""
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[url.removeprefix("s3://")]
    return list(bucket.keys), [upload.key_name for upload in bucket.multiparts.values()]


@pytest.mark.parametrize("folder", ["", "new/folder", "with/slash/"])
def test_a_bucket_that_can_be_written_is_left_as_it_was(s3: str, act_as: ActAs, folder: str) -> None:
    act_as(ALL)
    check_writable(join(s3, folder))
    assert in_bucket(s3) == ([], [])


def test_what_cannot_be_taken_back_is_no_object(s3: str, act_as: ActAs) -> None:
    act_as(["s3:PutObject"])
    check_writable(join(s3, "folder"))
    assert in_bucket(s3) == ([], ["folder/.attn-may-write"])


@pytest.mark.parametrize("allowed", [READ, [*READ, "s3:DeleteObject", "s3:AbortMultipartUpload"]])
def test_a_bucket_that_may_only_be_read(s3: str, act_as: ActAs, allowed: list[str]) -> None:
    act_as(allowed)
    with pytest.raises(UsageError, match=rf"^{s3}/folder: the credentials do not permit writing\. Grant them s3:Put"):
        check_writable(join(s3, "folder"))
    assert in_bucket(s3) == ([], [])


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"secret": "wrong-secret"}, "the secret key is wrong; check AWS_SECRET_ACCESS_KEY"),
        ({"key": "AKIAUNHEARD"}, "the access key is unknown; check AWS_ACCESS_KEY_ID"),
    ],
)
def test_wrong_credentials_are_not_repeated(s3: str, act_as: ActAs, wrong: dict[str, str], complaint: str) -> None:
    act_as(ALL, **wrong)
    with pytest.raises(UsageError, match=f"^{s3}/folder: {complaint}") as error:
        check_writable(join(s3, "folder"))
    for secret in (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in str(error.value)


def test_a_bucket_that_is_not_there(s3: str) -> None:
    with pytest.raises(
        UsageError, match="no-such-bucket/x: the bucket does not exist; create it first, or correct the"
    ):
        check_writable("s3://attn-no-such-bucket/x")


def test_a_local_folder_is_not_made(tmp_path: Path) -> None:
    check_writable(str(tmp_path / "new" / "folder"))
    check_writable(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "file/folder"):
        with pytest.raises(UsageError, match="a file exists where a folder is needed"):
            check_writable(str(tmp_path / name))


def test_results_are_not_written_into_a_store(tmp_path: Path) -> None:
    check_results_folder(str(tmp_path))
    (tmp_path / "manifest.json").touch()
    with pytest.raises(
        UsageError, match=rf"^{tmp_path}/: a store, which results would mix with\. Choose another --out"
    ):
        check_results_folder(f"{tmp_path}/")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_closed_folder_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    with pytest.raises(UsageError, match=rf"permission denied \({closed}\)"):
        check_writable(str(closed / "new" / "folder"))


def test_storages_that_cannot_be_asked_are_believed(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}"
    check_writable(url)
    (Location.at(url) / "a").write_atomic(b"x")
