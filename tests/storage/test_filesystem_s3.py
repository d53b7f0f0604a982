"""Large files on S3: in parts, whole, at once or not at all, whatever dies; and who we are there."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from attn.errors import UsageError
from attn.schema import LOGITS, MAPS
from attn.storage.filesystem import join
from attn.storage.ledger import Ledger
from attn.storage.listing import names_in
from attn.storage.location import Location
from attn.storage.manifest import Manifest
from attn.storage.parts import PartWriter, list_parts
from attn.storage.store import AttentionStore
from attn.storage.tensors import tensor_array

MB = 1 << 20


class Requests(logging.Handler):
    """What the server was asked, and what stood in the bucket after each answer to a part of a file."""

    def __init__(self, bucket: str):
        super().__init__()
        self.bucket, self.lines, self.seen = bucket, list[str](), list[list[str]]()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        if "partNumber=" in self.lines[-1]:
            self.seen.append(list(remembered(self.bucket).keys))


def remembered(url: str) -> Any:
    """A bucket in the server's own memory."""
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[url.removeprefix("s3://").split("/")[0]]


@pytest.fixture
def requests(s3: str, caplog: pytest.LogCaptureFixture) -> Iterator[Requests]:
    caplog.set_level("INFO", logger="werkzeug")
    handler = Requests(s3)
    logging.getLogger("werkzeug").addHandler(handler)
    yield handler
    logging.getLogger("werkzeug").removeHandler(handler)


def test_a_large_part_of_a_store_is_uploaded_in_parts_and_seen_when_whole(
    s3: str, manifest: Manifest, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attn.storage.filesystem.UPLOAD_PART_BYTES", 5 * MB)
    ledger = Ledger.at(join(s3, "store"))
    ledger.begin(manifest)
    writer = PartWriter(ledger.folder, manifest.schema, part_bytes=1 << 30)
    videos = {f"v{i}": noise(manifest, f"v{i}", seed=i) for i in range(3)}
    for rows in videos.values():
        writer.add([rows])
    writer.flush()
    ledger.finish({})

    uploads = [line for line in requests.lines if "POST" in line and "?uploads" in line]
    sent = [line for line in requests.lines if "partNumber=" in line]
    assert len(uploads) == 1
    assert len(sent) >= 3
    assert requests.seen == [["store/manifest.json"]] * len(sent)
    assert not remembered(s3).multiparts
    store = AttentionStore.open(ledger.url)
    (part,) = list_parts(store.folder)
    assert (part.fs.size(part.path) or 0) > 10 * MB
    for rows in store.videos([LOGITS, MAPS]):
        expected = np.stack(videos[rows.video_id]["maps"].to_numpy(zero_copy_only=False))
        assert np.array_equal(rows.maps.reshape(len(expected), -1), expected)


def noise(manifest: Manifest, video_id: str, seed: int) -> pa.RecordBatch:
    """Rows of a video that do not compress: 4 MB."""
    random, count = np.random.default_rng(seed), 70_000
    schema = manifest.schema
    tensors = {
        "features": random.random((count, 4)).astype(np.float16),
        LOGITS: random.random((count, 3), np.float32),
        MAPS: random.random((count, 3, 2, 3)).astype(np.float16),
    }
    known = {
        "video_id": [video_id] * count,
        "n_frames": [count] * count,
        "truncated": [False] * count,
        "label": [None] * count,
    }
    arrays = [
        tensor_array(tensors[field.name], field)
        if field.name in tensors
        else pa.array(known.get(field.name, np.arange(count)), type=field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def test_an_upload_that_is_refused_on_its_way_leaves_nothing(
    s3: str, requests: Requests, act_as: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The permission to write is lost after the first part."""
    monkeypatch.setattr("attn.storage.filesystem.UPLOAD_PART_BYTES", 5 * MB)
    monkeypatch.setattr("attn.storage.filesystem.UPLOAD_PARTS_AT_ONCE", 1)
    someone = act_as(["s3:*"])
    requests.emit = lambda record: "partNumber=1" in record.getMessage() and someone.may(["s3:AbortMultipartUpload"])  # type: ignore[method-assign]
    path = Location.at(s3) / "large"
    with pytest.raises(UsageError, match="large: access denied"), path.atomic_path() as scratch:
        scratch.write_bytes(bytes(16 * MB))
    assert not remembered(s3).keys
    assert not remembered(s3).multiparts


def test_a_writer_killed_while_it_uploads_leaves_no_visible_part(s3: str, manifest: Manifest, tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "import s3fs\n"
        "from attn.storage.location import Location\n"
        "call = s3fs.S3FileSystem._call_s3\n"
        "async def call_and_die(fs, method, *args, **settings):\n"
        "    answer = await call(fs, method, *args, **settings)\n"
        "    if method == 'upload_part':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return answer\n"
        "s3fs.S3FileSystem._call_s3 = call_and_die\n"
        "with Location.at(sys.argv[1]).atomic_path() as scratch:\n"
        "    scratch.write_bytes(bytes(17 << 20))\n"
    )
    ledger = Ledger.at(join(s3, "store"))
    ledger.begin(manifest)
    part = join(ledger.url, "part-0.parquet")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    killed = subprocess.run([sys.executable, "-c", program, part], check=False, env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert len(remembered(s3).multiparts) == 1
    assert names_in(ledger.folder) == ["manifest.json"]
    assert ledger.done() == {}
    ledger.check(manifest)


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_both_variables_name_the_server(
    s3: str, variable: str, monkeypatch: pytest.MonkeyPatch, forget_s3_clients: Callable[[], None]
) -> None:
    endpoint = os.environ["AWS_ENDPOINT_URL_S3"]
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv(variable, endpoint)
    if variable == "AWS_ENDPOINT_URL_S3":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # of the other services
    forget_s3_clients()
    path = Location.at(s3) / "a"
    path.write_atomic(b"x")
    assert path.read_bytes() == b"x"
    assert list(remembered(s3).keys) == ["a"]


def test_a_profile_of_the_configuration_file(
    s3: str,
    act_as: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    forget_s3_clients: Callable[[], None],
) -> None:
    """Keys, region and server all stand in the files."""
    act_as(["s3:*"])
    taken = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    for name in taken:
        monkeypatch.delenv(name)
    config, keys = tmp_path / "config", tmp_path / "credentials"
    config.write_text(
        f"[profile lab]\nregion = us-east-1\nendpoint_url = {taken['AWS_ENDPOINT_URL_S3']}\n"
        "[profile broken]\nregion = us-east-1\n"
    )
    keys.write_text(
        f"[lab]\naws_access_key_id = {taken['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {taken['AWS_SECRET_ACCESS_KEY']}\n"
    )
    for name, value in {
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(keys),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PROFILE": "lab",
    }.items():
        monkeypatch.setenv(name, value)
    forget_s3_clients()
    path = Location.at(s3) / "a"
    path.write_atomic(b"x")
    assert path.read_bytes() == b"x"
    monkeypatch.setenv("AWS_PROFILE", "no one")
    forget_s3_clients()
    with pytest.raises(UsageError, match="the AWS profile does not exist; check AWS_PROFILE"):
        (Location.at(s3) / "a").write_atomic(b"x")
