"""A store is refused, resumed, mended and ended as it should be."""

import dataclasses
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from moto.s3.exceptions import S3ClientError
from moto.s3.models import S3Backend

from attn.errors import UsageError
from attn.storage.audit import audit_store
from attn.storage.ledger import Ledger
from attn.storage.manifest import FrameManifest, Manifest
from attn.storage.parts import PartWriter, rewrite_without
from attn.storage.store import AttentionStore
from attn.storage.writer import StoreWriter


def write(url: Path, manifest: Manifest, *batches: pa.RecordBatch) -> Path:
    before = set(url.glob("part-*"))
    writer = StoreWriter(str(url), manifest.schema, part_bytes=2**30)
    for batch in batches:
        writer.add(batch)
    writer.flush()
    (part,) = set(url.glob("part-*")) - before
    return part


def test_manifest_survives_the_file(manifest: Manifest) -> None:
    again = Manifest.from_json(manifest.to_json(), where="m")
    assert again == manifest
    assert again.fingerprint == manifest.fingerprint


def test_fingerprint_follows_what_decides_rows_and_nothing_else(manifest: Manifest) -> None:
    for change in ({"sampling": {"stride": 10}}, {"weights_sha256": "1" * 64}, {"class_names": ("a",)}):
        assert dataclasses.replace(manifest, **change).fingerprint != manifest.fingerprint
    informed = dataclasses.replace(manifest, informative={"packages": {"torch": "9"}})
    assert informed.fingerprint == manifest.fingerprint


def test_another_run_is_refused_with_the_difference(tmp_path: Path, manifest: Manifest) -> None:
    ledger = Ledger.at(str(tmp_path / "s"))
    ledger.check(manifest)
    ledger.begin(manifest)
    ledger.check(manifest)
    with pytest.raises(UsageError, match=r'sampling: \{"stride": 2\} here, \{"stride": 5\} there.*--overwrite'):
        ledger.check(dataclasses.replace(manifest, sampling={"stride": 2}))


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    ledger = Ledger.at(str(tmp_path))
    with pytest.raises(UsageError, match="holds files but no attention store"):
        ledger.check(manifest)
    with pytest.raises(UsageError, match="--overwrite removes only"):
        ledger.clear()
    assert (tmp_path / "thesis.tex").exists()


def test_success_is_written_last_and_taken_away_by_the_next_run(
    tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch]
) -> None:
    ledger = Ledger.at(str(tmp_path))
    ledger.begin(manifest)
    part = write(tmp_path, manifest, rows_of("v", 2))
    with pytest.raises(UsageError, match="not finished"):
        AttentionStore.open(str(tmp_path))
    ledger.finish({"videos": 1})
    assert json.loads((tmp_path / "_SUCCESS.json").read_text()) == {"videos": 1, "parts": [part.name]}
    assert AttentionStore.open(str(tmp_path)).video_ids == ["v"]
    ledger.begin(manifest)
    assert not (tmp_path / "_SUCCESS.json").exists()


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"manifest\.json is missing"):
        AttentionStore.open(str(tmp_path / "nothing"))


def test_missing_column_names_the_way_out(tmp_path: Path, manifest: Manifest) -> None:
    Ledger.at(str(tmp_path)).begin(manifest)
    store = AttentionStore.open(str(tmp_path), allow_partial=True)
    with pytest.raises(
        UsageError,
        match=r"the store lacks grid\. Run precompute into another folder with --columns features logits maps grid\.",
    ):
        next(store.videos(["grid"]))


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_part_is_set_aside_and_its_videos_are_not_done(
    damage: str, tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch]
) -> None:
    good = write(tmp_path, manifest, rows_of("good", 3))
    bad = write(tmp_path, manifest, rows_of("bad", 300))
    content = bytearray(bad.read_bytes())
    if damage == "flip":
        content[8] ^= 0xFF
    bad.write_bytes({"cut": content[:-20], "flip": content, "empty": b""}[damage])
    ledger = Ledger.at(str(tmp_path))
    assert ledger.done() == {"good": 3}
    assert [path.name for path in tmp_path.glob("part-*")] == [good.name]
    assert (tmp_path / "_damaged" / bad.name).exists()


def test_a_damaged_part_is_set_aside_on_s3_in_a_folder_named_like_a_pattern(s3: str) -> None:
    ledger = Ledger.at(f"{s3}/a[1]")
    (ledger.folder / "part-0.parquet").write_atomic(b"")
    assert ledger.done() == {}
    assert ledger.folder.fs.find(ledger.folder.path) == [f"{ledger.folder.path}/_damaged/part-0.parquet"]


def test_a_video_in_two_parts_is_kept_once(
    tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch]
) -> None:
    write(tmp_path, manifest, rows_of("a", 3), rows_of("b", 2))
    write(tmp_path, manifest, rows_of("b", 2), rows_of("c", 4))
    copy = write(tmp_path, manifest, rows_of("d", 1))
    shutil.copy(copy, tmp_path / "part-zzzz.parquet")
    Ledger.at(str(tmp_path)).begin(manifest)
    wanted = {"a": 3, "b": 2, "c": 4, "d": 1}
    before = [(v.video_id, len(v.frame)) for v in AttentionStore.open(str(tmp_path), allow_partial=True).videos([])]
    assert sorted(before) == sorted(wanted.items())
    assert Ledger.at(str(tmp_path)).done() == wanted
    ids = [i for path in tmp_path.glob("part-*") for i in pq.read_table(path)["video_id"].to_pylist()]
    assert {video: ids.count(video) for video in wanted} == wanted


def test_a_video_that_lacks_rows_is_not_done(
    tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch]
) -> None:
    part = write(tmp_path, manifest, rows_of("whole", 3), rows_of("cut", 5))
    pq.write_table(pq.read_table(part).slice(0, 6), part)
    assert Ledger.at(str(tmp_path)).done() == {"whole": 3}
    assert set(pq.read_table(next(tmp_path.glob("part-*")))["video_id"].to_pylist()) == {"whole"}


@pytest.mark.parametrize("refused", ["list_objects_v2", "get_object"])
def test_what_is_done_is_asked_again_where_a_bucket_does_not_tell(
    refused: str, s3: str, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.at(f"{s3}/store")
    ledger.begin(manifest)
    writer = StoreWriter(ledger.url, manifest.schema, part_bytes=1)
    writer.add(rows_of("a", 3))
    answer, left = getattr(S3Backend, refused), [2]

    def refuse_or_answer(*args: Any, **settings: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise S3ClientError("OperationAborted", "on purpose")
        return answer(*args, **settings)

    monkeypatch.setattr("attn.storage.retry.PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(S3Backend, refused, refuse_or_answer)
    assert ledger.done() == {"a": 3}
    assert left[0] < 0
    left[0] = 99
    with pytest.raises(UsageError, match=r"/store: \[Errno"):
        ledger.done()


@pytest.mark.parametrize("far", [0.3, 0.5, 0.7])
def test_what_is_taken_out_of_a_damaged_part_does_not_hide_its_damage(
    far: float, tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch]
) -> None:
    """The part would else be written anew with the damage in it and checksums that agree, or stand in the way."""
    url = tmp_path / "store"
    Ledger.at(str(url)).begin(manifest)
    write(url, manifest, rows_of("a", 3))
    part = write(url, manifest, rows_of("a", 3), rows_of("b", 300)).rename(url / "part-zz.parquet")
    maps = next(
        c for i in range(99) if (c := pq.read_metadata(part).row_group(0).column(i)).path_in_schema[:4] == "maps"
    )
    content = bytearray(part.read_bytes())
    content[maps.data_page_offset + int(far * maps.total_compressed_size)] ^= 1
    part.write_bytes(content)
    assert Ledger.at(str(url)).done() == {"a": 3}
    assert not part.exists()
    assert (url / "_damaged" / part.name).read_bytes() == content


def test_what_stood_in_a_part_that_another_run_takes_away_is_not_done(
    tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = tmp_path / "store"
    Ledger.at(str(url)).begin(manifest)
    write(url, manifest, rows_of("a", 3))
    part = write(url, manifest, rows_of("a", 3), rows_of("b", 4)).rename(url / "part-zz.parquet")

    def just_after_the_other(file: Any, videos: Any) -> None:
        part.rename(tmp_path / "aside")
        rewrite_without(file, videos)

    monkeypatch.setattr("attn.storage.ledger.rewrite_without", just_after_the_other)
    assert Ledger.at(str(url)).done() == {"a": 3}


def test_a_part_that_is_written_anew_is_written_as_it_was(tmp_path: Path) -> None:
    frames = FrameManifest(input_size=8, preprocessing="p", sampling={"stride": 5})
    pixels = np.random.default_rng(0).integers(0, 256, (100, 192), np.uint8)
    columns = {
        "video_id": ["a"] * 40 + ["b"] * 60,
        "frame": [*range(40), *range(60)],
        "time_s": [0.0] * 100,
        "n_frames": [40] * 40 + [60] * 60,
        "label": [None] * 100,
        "truncated": [False] * 100,
        "image": list(pixels),
    }
    batch = pa.RecordBatch.from_pydict(columns, schema=frames.schema)
    ledger = Ledger.at(str(tmp_path), FrameManifest)
    ledger.begin(frames)
    for some in (batch.slice(0, 40), batch):
        parts = PartWriter(ledger.folder, frames.schema, part_bytes=1)
        parts.add([some])
    assert ledger.done(frames) == {"a": 40, "b": 60}
    groups = [pq.read_metadata(path).row_group(0) for path in tmp_path.glob("part-*")]
    assert max(group.num_rows for group in groups) <= 32
    assert all("RLE_DICTIONARY" in group.column(6).encodings for group in groups)
    assert sum(pq.read_metadata(path).num_rows for path in tmp_path.glob("part-*")) == 100


def test_a_store_that_became_another_runs_is_left_alone(
    tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch]
) -> None:
    other = dataclasses.replace(manifest, sampling={"stride": 9})
    ledger = Ledger.at(str(tmp_path))
    ledger.begin(manifest)
    part = write(tmp_path, manifest, rows_of("a", 3))
    with pytest.raises(UsageError, match="made with other settings"):
        Ledger.at(str(tmp_path)).begin(other)
    assert ledger.done(manifest) == {"a": 3}
    (tmp_path / "manifest.json").write_text(other.to_json())
    with pytest.raises(UsageError, match="another run has replaced this store"):
        ledger.done(manifest)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(UsageError, match=r"the store was removed during the run \(manifest\.json is missing"):
        ledger.done(manifest)
    assert part.exists()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int, int], None]:
    """disk(path, number, times): a file gives an error so many times."""
    opened, left = LocalFileSystem.open, {}
    monkeypatch.setattr("attn.storage.parts.PAUSES_S", (0.01, 0.01))

    def open_(fs: LocalFileSystem, path: str, *more: Any, **how: Any) -> Any:
        number, times = left.get(path, (0, 0))
        left[path] = (number, times - 1)
        if times > 0:
            raise OSError(number, os.strerror(number), path)
        return opened(fs, path, *more, **how)

    monkeypatch.setattr(LocalFileSystem, "open", open_)
    return lambda path, number, times: left.update({str(path): (number, times)})


def test_a_part_that_a_disk_cannot_read_is_damaged(
    tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch], disk: Callable[..., None]
) -> None:
    ledger = Ledger.at(str(tmp_path))
    ledger.begin(manifest)
    good, bad = (write(tmp_path, manifest, rows_of(name, 3)) for name in "ab")
    disk(bad, errno.EIO, 99)
    assert audit_store(ledger).unreadable.keys() == {bad.name}
    assert ledger.done() == {"a": 3}
    assert list(tmp_path.glob("part-*")) == [good]
    assert (tmp_path / "_damaged" / bad.name).exists()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_part_that_a_disk_did_not_give_for_a_moment_stays(
    tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch], disk: Callable[..., None], number: int
) -> None:
    ledger = Ledger.at(str(tmp_path))
    ledger.begin(manifest)
    part = write(tmp_path, manifest, rows_of("a", 3))
    disk(part, number, 2)
    assert ledger.done() == {"a": 3}
    assert list(tmp_path.glob("part-*")) == [part]


def test_a_part_that_another_machine_has_replaced_is_not_set_aside(
    tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch], disk: Callable[..., None]
) -> None:
    ledger = Ledger.at(str(tmp_path))
    ledger.begin(manifest)
    part = write(tmp_path, manifest, rows_of("a", 3))
    disk(part, errno.ESTALE, 99)
    with pytest.raises(UsageError, match=rf"\({part}\)$"):
        ledger.done()
    assert part.exists()


def test_what_a_killed_writer_left_is_gone_when_a_store_is_finished(tmp_path: Path, manifest: Manifest) -> None:
    ledger = Ledger.at(str(tmp_path))
    ledger.begin(manifest)
    left = tmp_path / ".part-0123456789abcdef.parquet.01234567.tmp"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    ledger.finish({})
    assert not left.exists()
