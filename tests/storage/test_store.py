"""A part that cannot be read is named in one line, with the way out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attn.errors import UsageError
from attn.storage.ledger import Ledger
from attn.storage.manifest import FrameManifest, Manifest
from attn.storage.store import AttentionStore, FrameStore
from attn.storage.writer import StoreWriter


@pytest.fixture
def part(tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch]) -> Path:
    """The only part of a finished store."""
    ledger = Ledger.at(str(tmp_path))
    ledger.begin(manifest)
    writer = StoreWriter(str(tmp_path), manifest.schema, part_bytes=1)
    writer.add(rows_of("v", 300))
    writer.flush()
    ledger.finish({})
    return next(tmp_path.glob("part-*.parquet"))


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_an_unreadable_part_is_named(damage: str, part: Path) -> None:
    content = bytearray(part.read_bytes())
    flipped = bytes([*content[:8], content[8] ^ 0xFF, *content[9:]])
    part.write_bytes({"cut": content[:-20], "flip": flipped, "empty": b"", "text": b"none\n" * 99}[damage])
    with pytest.raises(
        UsageError, match=rf"^{part}: the part is damaged [^\n]+\. Run the same precompute again: [^\n]+$"
    ):
        _ = AttentionStore.open(str(part.parent)).video_ids
    assert Ledger.at(str(part.parent)).done() == {}
    assert AttentionStore.open(str(part.parent)).video_ids == []


def test_damage_in_a_column_that_precompute_does_not_read_has_another_way_out(part: Path) -> None:
    maps = next(
        c for i in range(99) if (c := pq.read_metadata(part).row_group(0).column(i)).path_in_schema[:4] == "maps"
    )
    content = bytearray(part.read_bytes())
    content[maps.data_page_offset + maps.total_compressed_size // 2] ^= 0xFF
    part.write_bytes(content)
    store = AttentionStore.open(str(part.parent))
    assert len(list(store.videos(["logits"]))) == 1
    with pytest.raises(
        UsageError, match=rf"^{part}: the part is damaged [^\n]+\. Run jobs/verify\.py --deep --repair [^\n]*$"
    ):
        list(store.videos(["maps"]))


@pytest.mark.parametrize("kind", [AttentionStore, FrameStore])
def test_a_file_in_place_of_a_store_is_called_a_file(tmp_path: Path, kind: type[AttentionStore | FrameStore]) -> None:
    (file := tmp_path / "cnn.safetensors").touch()
    with pytest.raises(UsageError, match=rf"^{file}: a file, not a folder\. Give the folder of the \w+ store\."):
        kind.open(str(file))


def test_a_part_that_is_gone_is_not_called_damaged(part: Path) -> None:
    store = AttentionStore.open(str(part.parent))
    assert store.video_ids == ["v"]
    part.unlink()
    with pytest.raises(UsageError, match=rf"^{part}: does not exist. Check the path.$"):
        list(store.videos(["maps"]))


def test_frames_are_read_past_a_damaged_part_that_holds_none_of_them(
    tmp_path: Path, write_store: Callable[..., str]
) -> None:
    manifest = FrameManifest(input_size=8, preprocessing="test", sampling={"stride": 5}, informative={})
    images = {name: {"image": np.zeros((3, 8, 8, 3), np.uint8)} for name in ("a", "b", "c")}
    store = FrameStore.open(write_store(str(tmp_path / "frames"), manifest, images, part_bytes=1))
    (damaged,) = (part for part in store.parts if "b" in part.rows)
    Path(damaged.path).write_bytes(b"PAR1")
    store = FrameStore.open(store.url)
    assert sorted(video for part in store.parts_with({"a", "c"}) for video in part.rows) == ["a", "c"]
    with pytest.raises(
        UsageError, match=rf"^{damaged.path}: the part is damaged [^\n]+\. Run jobs/verify\.py --deep --repair "
    ):
        store.parts_with({"a", "b"})
