"""What a killed upload left behind is given up by the next run on the same store, and nothing else is."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from threading import Thread
from typing import Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from attn.storage.filesystem import join
from attn.storage.ledger import Ledger
from attn.storage.location import Location
from attn.storage.manifest import Manifest
from attn.storage.parts import is_part
from attn.storage.uploads import give_up_uploads

CENTURY_S = 100 * 365 * 86400.0
BEGUN = datetime(2010, 11, 10, 20, 48, 33, tzinfo=UTC)
KEYS = ("store/part-1.parquet", "store/thesis.tex", "store/deep/part-2.parquet", "store2/part-3.parquet")


@pytest.fixture
def begun(s3: str) -> Callable[[], list[str]]:
    """Files whose uploads are half-way, all begun long ago: this server dates every one to 2010."""
    fs: Any = Location.at(s3).fs
    bucket = s3.removeprefix("s3://")
    for key in KEYS:
        upload = fs.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
        fs.call_s3("upload_part", Bucket=bucket, Key=key, UploadId=upload["UploadId"], PartNumber=1, Body=b"x")
    uploads = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].multiparts
    return lambda: sorted(upload.key_name for upload in uploads.values())


def test_only_old_ones_of_ours(s3: str, begun: Callable[[], list[str]]) -> None:
    path = Location.at(s3) / "store"
    give_up_uploads(path, is_part, older_than_s=CENTURY_S)
    assert begun() == sorted(KEYS)
    give_up_uploads(path, is_part)
    assert begun() == sorted(KEYS[1:])


def test_in_the_bucket_itself(s3: str, begun: Callable[[], list[str]]) -> None:
    bucket = Location.at(s3)
    give_up_uploads(bucket, lambda name: True)
    assert begun() == sorted(KEYS)
    client: Any = bucket.fs
    client.call_s3("create_multipart_upload", Bucket=bucket.path, Key="part-4.parquet")
    give_up_uploads(bucket, is_part)
    assert begun() == sorted(KEYS)


@pytest.fixture
def clock(s3: str, monkeypatch: pytest.MonkeyPatch, forget_s3_clients: Callable[[], None]) -> Iterator[dict[str, str]]:
    """What a second server before the same buckets says the time is; without a word, it says nothing."""
    app, says = DomainDispatcherApplication(create_backend_app), {}

    def late(environ, start_response):
        def start(status, headers, *rest):
            others = [(name, value) for name, value in headers if name.lower() != "date"]
            return start_response(status, [*others, ("Date", says.get("time", ""))], *rest)

        return app(environ, start)

    server = make_server("127.0.0.1", 0, late, threaded=True)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
    forget_s3_clients()
    yield says
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_is_the_storage_that_knows_how_old_they_are(
    s3: str, begun: Callable[[], list[str]], clock: dict[str, str]
) -> None:
    """By our clock all of them are years old; that clock may be wrong."""
    for hours, left in ((None, KEYS), (23, KEYS), (25, KEYS[1:])):
        clock["time"] = format_datetime(BEGUN + timedelta(hours=hours), usegmt=True) if hours else "soon"
        give_up_uploads(Location.at(s3) / "store", is_part)
        assert begun() == sorted(left)


def test_a_store_that_is_gone_on_with(s3: str, begun: Callable[[], list[str]], manifest: Manifest) -> None:
    Ledger.at(join(s3, "store")).begin(manifest)
    assert begun() == sorted(KEYS[1:])


def test_who_may_not_look_is_not_stopped(
    s3: str, begun: Callable[[], list[str]], manifest: Manifest, act_as: Callable[..., Any]
) -> None:
    act_as(["s3:GetObject", "s3:PutObject", "s3:ListBucket"])
    Ledger.at(join(s3, "store")).begin(manifest)
    assert begun() == sorted(KEYS)


def test_other_storages_have_none(tmp_path) -> None:
    give_up_uploads(Location.at(str(tmp_path)), is_part)
