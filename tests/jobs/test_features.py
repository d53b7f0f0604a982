"""Export of stores to files of other programs, and import of the released soft-attention code's feature files."""

import csv
import re

import h5py
import numpy as np
import pytest

from attn.commands.export import export
from attn.commands.export_options import ExportOptions
from attn.commands.import_features import import_features
from attn.commands.import_features_options import ImportFeaturesOptions
from attn.commands.verify import verify
from attn.commands.verify_options import VerifyOptions
from attn.datasets.split import read_label_sets
from attn.errors import UsageError
from attn.schema import GRID, LOGITS, MAPS
from attn.storage.store import AttentionStore
from tests.stores import new_manifest, write_store

CLASSES = ("Wave", "Kick", "Hug")
LABELS = {"a": 0, "b": 2, "c": 1}


@pytest.fixture
def store(tmp_path):
    random = np.random.default_rng(0)
    shapes = {GRID: (5, 2, 3), LOGITS: (3,), MAPS: (3, 2, 3)}
    videos = {
        name: {
            column: random.normal(size=(frames, *shape)).astype(np.float32 if column == LOGITS else np.float16)
            for column, shape in shapes.items()
        }
        for name, frames in {"a": 2, "b": 4, "c": 1}.items()
    }
    manifest = new_manifest(columns=tuple(sorted(shapes)), num_channels=5, map_shape=(2, 3))
    return write_store(str(tmp_path / "store"), manifest, videos, labels=LABELS)


def rows_of(url):
    found = AttentionStore.open(url)
    return {rows.video_id: rows for rows in found.videos(list(found.manifest.columns))}


def listed(tmp_path, text):
    (tmp_path / "list.csv").write_text(text)
    return str(tmp_path / "list.csv")


def test_numpy_files_are_the_columns(store, tmp_path):
    out = tmp_path / "npy"
    assert export(ExportOptions(store=store, to="npy", out=str(out), columns=("maps",))) == 0
    assert {path.name for path in out.iterdir()} == {f"{v}_{n}.npy" for v in "abc" for n in ("maps", "timestamps_ms")}
    for video_id, rows in rows_of(store).items():
        np.testing.assert_array_equal(np.load(out / f"{video_id}_maps.npy"), rows.maps)
        np.testing.assert_allclose(np.load(out / f"{video_id}_timestamps_ms.npy"), 1000 * rows.time_s, atol=0.5)


def test_the_table_has_a_row_per_frame(store, tmp_path):
    chosen = listed(tmp_path, "video_id,label\nb,Hug\nc,Kick\n")
    assert export(ExportOptions(store=store, to="csv", out=str(tmp_path / "csv"), split=chosen)) == 0
    with open(tmp_path / "csv" / "frames.csv") as file:
        found = list(csv.DictReader(file))
    assert [(row["video_id"], row["label"], row["frame"]) for row in found] == [
        *(("b", "Hug", str(5 * i)) for i in range(4)),
        ("c", "Kick", "0"),
    ]
    logits = rows_of(store)["b"].logits[1]
    np.testing.assert_allclose([float(found[1][name]) for name in CLASSES], logits, rtol=1e-5)


@pytest.mark.parametrize("several", [False, True])
def test_what_is_exported_as_hdf5_is_imported_as_it_was(store, tmp_path, several):
    tables = {
        False: {"train": "video_id,label\na,Wave\nb,Hug\n", "test": "video_id,label\nc,Kick\n"},
        True: {"train": "video_id,labels\na,Wave\na,Kick\nb,\n", "test": "video_id,labels\nc,Kick\nc,Hug\n"},
    }[several]
    for part, text in tables.items():
        options = ExportOptions(store=store, to="h5", out=str(tmp_path / "h5"), split=listed(tmp_path, text), part=part)
        assert export(options) == 0
    (tmp_path / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    options = ImportFeaturesOptions(
        features=str(tmp_path / "h5"),
        out=str(tmp_path / "in"),
        classes=str(tmp_path / "classes.txt"),
        map_shape=(2, 3),
        fps=10,
    )
    assert import_features(options) == 0
    assert verify(VerifyOptions(store=f"{options.out}/store", deep=True)).audit.disagreements == []
    before, after = rows_of(store), rows_of(f"{options.out}/store")
    assert after.keys() == before.keys()
    for video_id, rows in after.items():
        np.testing.assert_array_equal(rows.tensors[GRID], before[video_id].tensors[GRID])
        np.testing.assert_allclose(rows.time_s, np.arange(len(rows.frame)) / 10, rtol=1e-6)
        assert rows.label == (None if several else LABELS[video_id])
    sets = {part: read_label_sets(f"{options.out}/{part}.csv", CLASSES, part=part) for part in ("train", "test")}
    assert sets["train"] == ({"a": ("Wave", "Kick"), "b": ()} if several else {"a": ("Wave",), "b": ("Hug",)})
    assert sets["test"] == ({"c": ("Kick", "Hug")} if several else {"c": ("Kick",)})
    with pytest.raises(UsageError, match=r"in/store: already finished\. Choose another --out\."):
        import_features(options)


def write_features(folder, features, part="train", frames=(2, 1), labels=("0", "1")):
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / f"{part}_features.h5", "w") as file:
        file["features"] = features
    names = [f"{part}{i}.avi" for i in range(len(frames))]
    for name, lines in {"framenum": frames, "filename": names, "labels": labels}.items():
        (folder / f"{part}_{name}.txt").write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    ("change", "flags", "said"),
    [
        ({"features": np.full((3, 8), np.nan)}, {}, "train0: features that are not finite, or too large for float16"),
        ({"features": np.full((3, 8), 1e6)}, {}, "too large for float16"),
        ({"features": np.zeros((3, 9))}, {}, "features of shape (3, 9), but 3 frames are listed, with maps of 2×2"),
        ({"features": np.zeros((4, 8))}, {}, "but 3 frames are listed"),
        ({"frames": (3, 0)}, {}, "part train: a video without frames"),
        ({"labels": ("0", "x")}, {}, "'x' is not a number"),
        ({}, {"parts": ("train", "train")}, "--parts train train: empty or duplicate"),
        ({}, {"parts": ("valid",)}, "valid_filename.txt"),
        ({}, {"fps": 0.0}, "--fps 0: must be above 0"),
        ({}, {"map_shape": (0, 2)}, "--map-shape 0 2: must be at least 1 1"),
    ],
)
def test_wrong_files_are_refused_in_one_line(tmp_path, change, flags, said):
    write_features(tmp_path / "h5", **{"features": np.zeros((3, 8)), **change})
    options = {"features": str(tmp_path / "h5"), "out": str(tmp_path / "out"), "parts": ("train",), "map_shape": (2, 2)}
    with pytest.raises(UsageError, match=re.escape(said)):
        import_features(ImportFeaturesOptions(**{**options, **flags}))
    assert not list(tmp_path.glob("out/*.csv"))


def test_an_import_that_failed_resumes_with_the_corrected_file(tmp_path):
    features = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    write_features(tmp_path / "h5", np.where(np.arange(3)[:, None] == 2, np.nan, features))
    options = ImportFeaturesOptions(
        features=str(tmp_path / "h5"), out=str(tmp_path / "out"), parts=("train",), map_shape=(2, 2)
    )
    with pytest.raises(UsageError, match="train1: features that are not finite"):
        import_features(options)
    write_features(tmp_path / "h5", features)
    assert import_features(options) == 0
    assert {name: len(rows.frame) for name, rows in rows_of(f"{options.out}/store").items()} == {
        "train0": 2,
        "train1": 1,
    }


def test_a_video_in_two_parts_is_refused(tmp_path):
    for part in ("train", "test"):
        write_features(tmp_path / "h5", np.zeros((3, 8)), part)
        (tmp_path / "h5" / f"{part}_filename.txt").write_text("x.avi\ny.avi\n")
    options = ImportFeaturesOptions(features=str(tmp_path / "h5"), out=str(tmp_path / "out"), map_shape=(2, 2))
    with pytest.raises(UsageError, match=r"x, y in more than one part\. Leave out a part\."):
        import_features(options)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"to": "h5"}, "--to h5: its files contain labels. Give --split"),
        ({"to": "csv", "columns": ("maps",)}, "--columns: not used with --to csv"),
        ({"to": "npy", "columns": ("features",)}, "features"),
    ],
)
def test_an_export_that_cannot_be_is_refused(store, tmp_path, flags, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        export(ExportOptions(store=store, out=str(tmp_path / "out"), **flags))
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
