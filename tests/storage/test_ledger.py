"""A store is refused, resumed, mended and ended as it should be."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attn.errors import UsageError
from attn.storage.filesystem import write_atomic
from attn.storage.ledger import Ledger
from attn.storage.manifest import Manifest
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
    with pytest.raises(UsageError, match="not empty and no attention store"):
        ledger.check(manifest)
    with pytest.raises(UsageError, match="will not remove"):
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
    with pytest.raises(UsageError, match=r"no manifest\.json"):
        AttentionStore.open(str(tmp_path / "nothing"))


def test_missing_column_names_the_way_out(tmp_path: Path, manifest: Manifest) -> None:
    Ledger.at(str(tmp_path)).begin(manifest)
    store = AttentionStore.open(str(tmp_path), allow_partial=True)
    with pytest.raises(UsageError, match="holds no grid; precompute again with --columns features logits maps grid"):
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
    write_atomic(ledger.fs, f"{ledger.root}/part-0.parquet", b"")
    assert ledger.done() == {}
    assert ledger.fs.find(ledger.root) == [f"{ledger.root}/_damaged/part-0.parquet"]


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
