"""What is wrong with a store is found and named; looking changes nothing; repair leaves what a run completes."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attn.errors import UsageError
from attn.storage.audit import Audit, audit_store
from attn.storage.failures import Failure
from attn.storage.filesystem import join
from attn.storage.ledger import SUCCESS, Ledger
from attn.storage.listing import remove_tree
from attn.storage.location import Location
from attn.storage.manifest import Manifest
from attn.storage.parts import list_parts
from attn.storage.writer import StoreWriter

LENGTHS = {"a": 3, "b": 300, "c": 1, "d": 40}


@pytest.fixture
def rows(rows_of: Callable[..., pa.RecordBatch]) -> dict[str, pa.RecordBatch]:
    return {video: rows_of(video, length) for video, length in LENGTHS.items()}


@pytest.fixture(params=["tmp_path", "s3"])
def ledger(request: pytest.FixtureRequest, manifest: Manifest, rows: dict[str, pa.RecordBatch]) -> Ledger:
    """A finished store of four parts and a failure."""
    ledger = Ledger.at(join(str(request.getfixturevalue(request.param)), "store"))
    ledger.begin(manifest)
    writer = StoreWriter(ledger.url, manifest.schema, part_bytes=1)
    for batch in rows.values():
        writer.add(batch)
    writer.fail(Failure("e", "e.avi", "decode", "VideoError", "no frame", 1))
    writer.flush()
    ledger.finish({"fingerprint": manifest.fingerprint, "videos": 4, "rows": 344, "failed": 1})
    return ledger


def part_of(ledger: Ledger, video: str) -> Location:
    def holds(part: Location) -> bool:
        return video in pq.read_table(pa.BufferReader(part.read_bytes()))["video_id"].to_pylist()

    (part,) = filter(holds, list_parts(ledger.folder))
    return part


def rewrite(ledger: Ledger, video: str, change: Callable[[pa.Table], pa.Table]) -> str:
    """Changes the table of the part that holds a video; the name of the part."""
    part = part_of(ledger, video)
    sink = pa.BufferOutputStream()
    pq.write_table(change(pq.read_table(pa.BufferReader(part.read_bytes()))), sink)
    part.write_atomic(sink.getvalue().to_pybytes())
    return part.name


def sound(audit: Audit) -> bool:
    return not (audit.unreadable or audit.partial or audit.doubled or audit.disagreements or audit.summary is None)


def test_a_sound_store(ledger: Ledger, manifest: Manifest) -> None:
    before = ledger.folder.fs.find(ledger.folder.path)
    audit = audit_store(ledger, deep=True)
    assert sound(audit)
    assert (audit.videos, audit.rows, audit.num_parts) == (LENGTHS, 344, 4)
    assert {video: failure.message for video, failure in audit.failures.items()} == {"e": "no frame"}
    assert audit.manifest == manifest
    assert ledger.folder.fs.find(ledger.folder.path) == before


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"manifest\.json is missing"):
        audit_store(Ledger.at(str(tmp_path)))


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_an_unreadable_part_and_the_repair_of_it(damage: str, ledger: Ledger) -> None:
    part = part_of(ledger, "b")
    content = part.read_bytes()
    part.write_atomic({"cut": content[: len(content) // 2], "empty": b"", "text": b"none\n" * 99}[damage])
    audit = audit_store(ledger)
    name = part.name
    assert audit.unreadable.keys() == {name}
    assert audit.unreadable[name]
    assert audit.videos.keys() == {"a", "c", "d"}
    assert audit.disagreements == ["videos: 3 found, 4 recorded", "rows: 44 found, 344 recorded"]
    ledger.repair(audit.unreadable)
    after = audit_store(ledger)
    assert not after.repairable
    assert after.summary is None
    assert (ledger.folder / "_damaged" / name).exists()


def test_a_flipped_bit_in_the_maps_shows_only_when_all_is_read(ledger: Ledger) -> None:
    part = part_of(ledger, "b")
    content = bytearray(part.read_bytes())
    group = pq.read_metadata(pa.BufferReader(bytes(content))).row_group(0)
    (maps,) = (c for i in range(group.num_columns) if (c := group.column(i)).path_in_schema.startswith("maps"))
    content[maps.data_page_offset + maps.total_compressed_size // 2] ^= 1
    part.write_atomic(bytes(content))
    assert sound(audit_store(ledger))
    audit = audit_store(ledger, deep=True)
    assert audit.unreadable.keys() == {part.name}
    ledger.repair(audit.unreadable)
    assert ledger.done().keys() == {"a", "c", "d"}


def swap(column: str, first: int, second: int) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        order = np.arange(len(table))
        order[[first, second]] = order[[second, first]]
        number = table.schema.get_field_index(column)
        return table.set_column(number, table.schema.field(number), table[column].take(pa.array(order)))

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.slice(1),
        lambda table: pa.concat_tables([table.slice(0, 7), table.slice(8)]),
        lambda table: pa.concat_tables([table, table.slice(0, 1)]),
        lambda table: pa.concat_tables([table, table]),
        swap("frame", 3, 4),
        lambda table: table.set_column(3, table.schema.field(3), pa.array([40] * 39 + [41], pa.int32())),
    ],
    ids=["first row gone", "a row gone", "a row twice", "all twice", "out of order", "counts differ"],
)
def test_rows_that_are_missing_doubled_or_out_of_order(change: Callable[[pa.Table], pa.Table], ledger: Ledger) -> None:
    name = rewrite(ledger, "d", change)
    audit = audit_store(ledger)
    assert audit.partial == {"d": name}
    assert audit.videos.keys() == {"a", "b", "c"}
    ledger.repair(audit.unreadable)
    after = audit_store(ledger)
    assert not after.repairable
    assert after.videos.keys() == {"a", "b", "c"}


def test_a_video_that_stands_twice_in_one_part_with_another_between(ledger: Ledger) -> None:
    def change(table: pa.Table) -> pa.Table:
        ids = pa.array(["x"] * len(table))
        return pa.concat_tables([table, table.set_column(0, table.schema.field(0), ids), table])

    name = rewrite(ledger, "d", change)
    audit = audit_store(ledger)
    assert audit.partial == {"d": name}
    assert audit.videos.keys() == {"a", "b", "c", "x"}


def test_a_video_in_two_parts(ledger: Ledger, manifest: Manifest, rows: dict[str, pa.RecordBatch]) -> None:
    writer = StoreWriter(ledger.url, manifest.schema, part_bytes=2**30)
    writer.add(rows["b"])
    writer.add(rows["c"])
    writer.flush()
    audit = audit_store(ledger)
    assert {video: len(parts) for video, parts in audit.doubled.items()} == {"b": 2, "c": 2}
    assert (audit.videos, audit.rows) == (LENGTHS, 344)
    ledger.repair(audit.unreadable)
    assert not audit_store(ledger).repairable
    assert audit_store(ledger).videos == LENGTHS


def test_a_part_of_another_run(ledger: Ledger, manifest: Manifest, rows: dict[str, pa.RecordBatch]) -> None:
    other = dataclasses.replace(manifest, sampling={"stride": 9})
    writer = StoreWriter(ledger.url, other.schema, part_bytes=2**30)
    writer.add(rows["a"])
    writer.flush()
    audit = audit_store(ledger)
    assert list(audit.unreadable.values()) == [
        f"written with fingerprint {other.fingerprint}, but the store's is {manifest.fingerprint}"
    ]
    assert audit.videos == LENGTHS
    assert ledger.done() == LENGTHS
    assert not audit_store(ledger).repairable


def test_a_part_that_is_gone(ledger: Ledger) -> None:
    part = part_of(ledger, "a")
    part.remove()
    gone = f"{part.name} is missing"
    assert audit_store(ledger).disagreements == ["videos: 3 found, 4 recorded", "rows: 341 found, 344 recorded", gone]


def test_failures_that_were_noted_and_are_not_there(ledger: Ledger) -> None:
    remove_tree(ledger.folder / "failures")
    assert audit_store(ledger).disagreements == ["failed: 0 found, 1 recorded"]


@pytest.mark.parametrize("text", [b"", b"[]", b'{"parts": 3}', b"\xff"])
def test_a_damaged_mark_of_completion_is_a_disagreement(text: bytes, ledger: Ledger) -> None:
    (ledger.folder / SUCCESS).write_atomic(text)
    assert "videos: 4 found, None recorded" in audit_store(ledger).disagreements


def test_an_edited_manifest_is_refused_before_anything_is_set_aside(ledger: Ledger) -> None:
    file = ledger.folder / "manifest.json"
    fields: dict[str, Any] = json.loads(file.read_bytes())
    file.write_atomic(json.dumps({**fields, "backbone": "resnet9000"}).encode())
    for look in (audit_store, Ledger.done):
        with pytest.raises(
            UsageError, match=r"manifest\.json: the file was edited \(its fingerprint is \w+, that of its content \w+"
        ):
            look(ledger)
    assert len(list_parts(ledger.folder)) == 4


def test_a_storage_that_does_not_answer_is_no_damage(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever part it was that could not be read just now must not be set aside."""
    open_part = type(ledger.folder.fs).open

    def fails(fs: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        if path == part_of_c.path:
            raise OSError(16, "Please reduce your request rate.")
        return open_part(fs, path, *args, **kwargs)

    part_of_c = part_of(ledger, "c")
    monkeypatch.setattr(type(ledger.folder.fs), "open", fails)
    monkeypatch.setattr("attn.storage.retry.PAUSES_S", (0.01, 0.01))
    for look in (audit_store, Ledger.done):
        with pytest.raises(UsageError, match="store: "):
            look(ledger)
    assert len(list_parts(ledger.folder)) == 4


def test_copies_of_a_store_are_as_sound_as_it_is(
    tmp_path: Path, manifest: Manifest, rows: dict[str, pa.RecordBatch]
) -> None:
    writer = StoreWriter(str(tmp_path / "a"), manifest.schema, part_bytes=1)
    Ledger.at(str(tmp_path / "a")).begin(manifest)
    writer.add(rows["a"])
    writer.flush()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert audit_store(Ledger.at(str(tmp_path / "b")), deep=True).videos == {"a": 3}
