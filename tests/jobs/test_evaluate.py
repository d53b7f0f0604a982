"""`jobs/evaluate.py` on small stores, and invalid input."""

import dataclasses
import hashlib
import json
import logging
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attn.commands.evaluate import evaluate
from attn.commands.evaluate_options import EvaluateOptions
from attn.errors import UsageError
from attn.eval.metrics import AP_KINDS, mean_average_precision, top_k_accuracy
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn
from attn.models.model_file import Model, load_model, save_model
from attn.schema import LOGITS, MAPS
from attn.stages.scoring import CnnAverage, CnnSoftmaxVote, CnnVote, UnAtt
from attn.storage.manifest import SCORE_FIELDS, Manifest
from attn.storage.store import AttentionStore

CLASSES = ("Wave", "Kick", "HandstandPushups")
RunJob = Callable[..., subprocess.CompletedProcess[str]]
MakeStore = Callable[..., str]

# In an order of their own, like the official lists.
VIDEOS = {f"v_{name}_g{group:02}_c01": name for group in (2, 1, 3, 4) for name in CLASSES}


@pytest.fixture
def make_store(tmp_path: Path, new_manifest: Callable[..., Manifest], write_store: Callable[..., str]) -> MakeStore:
    """Function make_store(url=…, videos=…, …) that writes random logits and maps, 3 to 7 frames per video.

    With `logits`, all frames of a video have the given logits.
    """

    def make(
        url: str = "",
        *,
        videos: dict[str, str | None] | None = None,
        finished: bool = True,
        columns: tuple[str, ...] = (LOGITS, MAPS),
        logits: dict[str, list[float]] | None = None,
    ) -> str:
        rng, names, tensors = np.random.default_rng(0), VIDEOS if videos is None else videos, {}
        for video_id in names:
            count = int(rng.integers(3, 8))
            drawn, maps = rng.normal(size=(count, 3)), rng.random((count, 3, 4, 5))
            given = np.broadcast_to((logits or {}).get(video_id, drawn), (count, 3))
            tensors[video_id] = {LOGITS: given.astype(np.float32), MAPS: maps.astype(np.float16)}
        labels = {video_id: CLASSES.index(name) for video_id, name in names.items() if name is not None}
        manifest = new_manifest(class_names=CLASSES, columns=columns, map_shape=(4, 5))
        url = url or str(tmp_path / "store")
        return write_store(url, manifest, tensors, labels=labels, part_bytes=4000, finished=finished)

    return make


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Test list in the official format, including the blank line at its end."""
    path = tmp_path / "testlist01.txt"
    path.write_text("".join(f"{name}/{video_id}.avi\n" for video_id, name in VIDEOS.items()) + "\n")
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def read_metrics(out: Path) -> dict:
    return json.loads((out / "metrics.json").read_text())


def test_numbers_that_are_none_are_refused_with_video_and_frame(make_store, split, out):
    video_id = "v_Kick_g03_c01"
    store = make_store(logits={video_id: [0.0, float("nan"), 1.0]})
    with pytest.raises(UsageError, match=rf"logits of {video_id}, frame \d+, contain NaN or infinity\. Precompute"):
        evaluate(EvaluateOptions(store=store, split=str(split), out=str(out)))
    assert not out.exists()


def test_script_writes_figures_that_follow_from_the_scores(
    make_store: MakeStore, split: Path, out: Path, run_job: RunJob
) -> None:
    store = make_store()
    done = run_job("evaluate.py", "--store", store, "--split", split, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "unatt - cnn" in done.stderr

    metrics, frame = read_metrics(out), pl.read_parquet(out / "scores.parquet")
    assert list(metrics["methods"]) == ["cnn", "cnn_softmax", "cnn_average", "unatt"]
    for name, found in metrics["methods"].items():
        of_method = frame.filter(pl.col("method") == name)
        scores, labels = of_method["scores"].to_numpy(), of_method["label"].to_numpy()
        assert [CLASSES[label] for label in labels] == [VIDEOS[video_id] for video_id in of_method["video_id"]]
        assert found["videos"] == len(of_method) == 12
        assert found["top_1"]["value"] == top_k_accuracy(scores, labels)
        assert found["top_1"]["value"] == pytest.approx((scores.argmax(axis=1) == labels).mean())
        for kind in AP_KINDS:
            assert (
                found[f"map_{kind}"]["value"]
                == mean_average_precision(scores, np.eye(3, dtype=bool)[labels], kind=kind).value
            )
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "scores.parquet"]


@pytest.fixture
def model_of(tmp_path: Path) -> Callable[..., str]:
    """Function model_of(store, …) that writes a model of calibrated UnAtt for a store and returns its URL."""

    def make(store: str, **change: Any) -> str:
        cnn = Cnn(build_backbone("small_cnn", 3), "small_cnn", CLASSES, 64, weights_sha256="0" * 64)
        maps = AttentionStore.open(store).manifest.of(SCORE_FIELDS)
        calibration = {"mean": [1.0, 2.0, 3.0], "std": [1.0, 0.5, 2.0], "videos": 9}
        save_model(url := str(tmp_path / "model.safetensors"), Model(cnn, "unatt", maps, 2, calibration, **change))
        return url

    return make


def test_a_model_scores_with_its_method_and_calibration(make_store, split, out, model_of):
    store = make_store()
    assert evaluate(EvaluateOptions(store, str(split), str(out), model=(model_of(store),))) == 0
    rows = pl.read_parquet(out / "scores.parquet").to_dicts()
    found = {row["video_id"]: row["scores"] for row in rows if row["method"] == "unatt_calibrated"}
    assert len(found) == len(rows) == 12
    for video in AttentionStore.open(store).videos(["maps"]):
        expected = (UnAtt(2)(video) - [1, 2, 3]) / [1, 0.5, 2]
        assert found[video.video_id] == pytest.approx(expected, rel=1e-6)


def test_a_model_is_not_tested_on_what_it_learnt_nor_on_maps_of_another_cnn(make_store, split, out, model_of):
    store = make_store()
    with pytest.raises(UsageError, match=r"v_Kick_g02_c01.*Test only on unseen videos"):
        evaluate(EvaluateOptions(store, str(split), str(out), model=(model_of(store, trained_on=("v_Kick_g02_c01",)),)))
    model = model_of(store)
    with pytest.raises(UsageError, match=r"--calibrate: --model has its own calibration. Leave out one"):
        evaluate(EvaluateOptions(store, str(split), str(out), model=(model,), calibrate=store))
    saved = load_model(model)
    save_model(model, dataclasses.replace(saved, maps={**saved.maps, "weights_sha256": "1" * 64}))
    with pytest.raises(UsageError, match=r"made with another weights_sha256. Precompute the videos with --weights"):
        evaluate(EvaluateOptions(store, str(split), str(out), model=(model,)))
    assert not out.exists()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"energynet": "e", "train_split": "t"}, "--energynet, --train-split"),
        ({"fraction": 0.5, "svm_c": 2.0, "seed": 1, "window": 2}, "--fraction, --svm-c, --seed, --window"),
    ],
)
def test_flags_that_a_model_would_ignore_are_refused(make_store, split, out, model_of, flags, named):
    store = make_store()
    options = EvaluateOptions(store, str(split), str(out), model=(model_of(store),), **flags)
    with pytest.raises(UsageError, match=f"^{named}: --model has its own method. Leave out {named}, or --model.$"):
        evaluate(options)
    assert not out.exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"fraction": float("nan")}, "--fraction nan: must be above 0 and at most 1"),
        ({"fraction": 2.0}, "--fraction 2.0: must be above 0 and at most 1"),
        ({"svm_c": float("nan")}, "--svm-c nan: must be a number above 0"),
        ({"model": ()}, "--model: empty. Name at least one model file"),
    ],
)
def test_a_flag_that_no_chosen_method_uses_is_checked_too(make_store, split, out, flags, said):
    with pytest.raises(UsageError, match=f"^{said}"):
        evaluate(EvaluateOptions(make_store(), str(split), str(out), **flags))
    assert not out.exists()


def test_scores_are_not_written_into_the_store(make_store, split):
    store = make_store()
    with pytest.raises(UsageError, match=f"^{store}: a store, which results would mix with"):
        evaluate(EvaluateOptions(store, str(split), store))


def test_scores_are_those_of_each_video_alone(make_store: MakeStore, split: Path, out: Path) -> None:
    store = AttentionStore.open(make_store())
    assert evaluate(EvaluateOptions(store.url, str(split), str(out), window=2)) == 0
    found = {
        (row["video_id"], row["method"]): row["scores"] for row in pl.read_parquet(out / "scores.parquet").to_dicts()
    }
    videos = list(store.videos(["logits", "maps"]))
    assert len(found) == 4 * len(videos)
    for video in videos:
        for scorer in (CnnVote(), CnnSoftmaxVote(), CnnAverage(), UnAtt(2)):
            np.testing.assert_allclose(found[video.video_id, scorer.name], scorer(video), rtol=1e-6)


def test_confident_videos_are_ranked_by_more_digits_than_are_written(make_store: MakeStore, out: Path) -> None:
    videos = {"a": "Kick", "b": "Wave"}  # sorted by ID, the negative comes first
    store = make_store(videos=videos, logits={"a": [20, 0, 0], "b": [25, 0, 0]})
    split = out.with_name("list.txt")
    split.write_text("".join(f"{name}/{video_id}.avi\n" for video_id, name in videos.items()))
    assert evaluate(EvaluateOptions(store, str(split), str(out), methods=("cnn",))) == 0
    written = pl.read_parquet(out / "scores.parquet").filter(pl.col("method") == "cnn_softmax")["scores"].to_numpy()
    assert written[:, 0].tolist() == [1, 1]
    found = read_metrics(out)["methods"]["cnn_softmax"]
    assert found["map_noninterpolated"]["value"] == read_metrics(out)["methods"]["cnn"]["map_noninterpolated"]["value"]
    assert found["map_noninterpolated"]["value"] == 1


def test_record_says_where_the_figures_come_from(make_store: MakeStore, split: Path, out: Path) -> None:
    store = AttentionStore.open(make_store())
    options = EvaluateOptions(store.url, str(split), str(out), methods=("unatt",))
    assert evaluate(options) == 0
    metrics = read_metrics(out)
    assert metrics["store"] == {"url": store.url, "fingerprint": store.manifest.fingerprint}
    assert metrics["split"] == {
        "file": "testlist01.txt",
        "sha256": hashlib.sha256(split.read_bytes()).hexdigest(),
        "videos": 12,
    }
    assert metrics["options"]["methods"] == ["unatt"]
    assert metrics["options"]["window"] == 3
    assert metrics["paired"] == {}
    schema = pq.read_schema(out / "scores.parquet")
    assert json.loads(schema.metadata[b"class_names"]) == list(CLASSES)
    assert schema.metadata[b"fingerprint"].decode() == store.manifest.fingerprint
    assert schema.field("scores").type == pa.list_(pa.field("element", pa.float32(), nullable=False), 3)


def test_a_folder_of_lists_has_one_sum(make_store: MakeStore, tmp_path: Path, out: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    for name in ("Kick", "Wave"):
        lines = [f"{video_id}.avi 2\n" for video_id, label in VIDEOS.items() if label == name]
        (lists / f"{name}_test_split1.txt").write_text("".join(lines))
    assert evaluate(EvaluateOptions(make_store(), f"{lists}/*_test_split1.txt", str(out))) == 0
    sums = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(lists.iterdir())
    )
    assert read_metrics(out)["split"] == {
        "file": "*_test_split1.txt",
        "sha256": hashlib.sha256(sums.encode()).hexdigest(),
        "videos": 8,
    }


def test_same_store_in_other_parts_gives_the_same_files(make_store: MakeStore, split: Path, tmp_path: Path) -> None:
    store = make_store()
    for name in ("first", "second"):
        assert evaluate(EvaluateOptions(store, str(split), str(tmp_path / name))) == 0
        parts = sorted(Path(store).glob("part-*"))
        assert len(parts) > 1
        for part, new in zip(parts, reversed(range(len(parts))), strict=True):  # new names change the reading order
            part.rename(part.with_name(f"part-{new}.parquet"))
    first, second = (tmp_path / name for name in ("first", "second"))
    assert (first / "scores.parquet").read_bytes() == (second / "scores.parquet").read_bytes()
    assert read_metrics(first)["methods"] == read_metrics(second)["methods"]


def test_videos_outside_the_list_do_not_count(make_store: MakeStore, split: Path, out: Path) -> None:
    store = make_store(videos={"another": None, **VIDEOS, "v_Wave_g09_c01": "Wave"})
    assert evaluate(EvaluateOptions(store, str(split), str(out))) == 0
    assert set(pd.read_parquet(out / "scores.parquet")["video_id"]) == set(VIDEOS)


def test_the_list_is_right_about_the_class(
    make_store: MakeStore, split: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = make_store(videos={**VIDEOS, "v_Wave_g01_c01": "Kick", "v_Kick_g01_c01": None})
    with caplog.at_level(logging.WARNING):
        assert evaluate(EvaluateOptions(store, str(split), str(out))) == 0
    assert "v_Wave_g01_c01" in caplog.text
    assert read_metrics(out)["relabelled"] == {"videos": 1, "ids": ["v_Wave_g01_c01"]}
    frame = pd.read_parquet(out / "scores.parquet").set_index("video_id")
    assert set(frame.loc["v_Wave_g01_c01", "label"]) == {0}
    assert set(frame.loc["v_Kick_g01_c01", "label"]) == {1}


def test_missing_videos_are_refused_or_counted(make_store: MakeStore, split: Path, out: Path) -> None:
    kept = {video_id: name for video_id, name in VIDEOS.items() if "g01" not in video_id}
    store = make_store(videos=kept)
    options = EvaluateOptions(store, str(split), str(out))
    with pytest.raises(UsageError, match=r"3 of the 12 videos .*v_HandstandPushups_g01_c01.*--allow-missing"):
        evaluate(options)
    assert not out.exists()
    assert evaluate(EvaluateOptions(store, str(split), str(out), allow_missing=True)) == 0
    metrics = read_metrics(out)
    assert metrics["missing"]["videos"] == 3
    assert metrics["methods"]["cnn"]["videos"] == 9


def test_a_store_of_other_videos_is_refused_even_then(make_store: MakeStore, split: Path, out: Path) -> None:
    store = make_store(videos={"another": "Wave"})
    with pytest.raises(UsageError, match=r"12 of the 12 videos of .* are missing"):
        evaluate(EvaluateOptions(store, str(split), str(out), allow_missing=True))
    assert not out.exists()


def test_an_unfinished_store_is_refused_or_allowed(make_store: MakeStore, split: Path, out: Path) -> None:
    store = make_store(finished=False)
    with pytest.raises(UsageError, match="--allow-partial"):
        evaluate(EvaluateOptions(store, str(split), str(out)))
    assert not out.exists()
    assert evaluate(EvaluateOptions(store, str(split), str(out), allow_partial=True)) == 0
    assert read_metrics(out)["options"]["allow_partial"] is True


def test_cnn_alone_needs_no_maps_but_unatt_does(make_store: MakeStore, split: Path, out: Path) -> None:
    store = make_store(columns=(LOGITS,))
    with pytest.raises(UsageError, match="the store lacks maps"):
        evaluate(EvaluateOptions(store, str(split), str(out)))
    assert not out.exists()
    assert evaluate(EvaluateOptions(store, str(split), str(out), methods=("cnn",))) == 0


@pytest.mark.parametrize("window", [0, 5])
def test_a_window_that_does_not_fit_the_maps_is_refused(
    make_store: MakeStore, split: Path, out: Path, window: int
) -> None:
    with pytest.raises(UsageError, match=rf"--window {window}: .*4×5 maps.*Give 1 to 4"):
        evaluate(EvaluateOptions(make_store(), str(split), str(out), window=window))
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [
        ({"store": "nowhere"}, "nowhere"),
        ({"split": "no-list.txt"}, "no-list.txt"),
        ({"out": "abc://x"}, "abc"),
        ({"methods": ()}, "--methods"),
    ],
)
def test_wrong_flags_name_the_culprit(
    make_store: MakeStore, split: Path, out: Path, changes: dict[str, Any], culprit: str
) -> None:
    given: dict[str, Any] = {"store": make_store(), "split": str(split), "out": str(out)}
    with pytest.raises(UsageError, match=culprit):
        evaluate(EvaluateOptions(**(given | changes)))
    assert not out.exists()


def test_script_says_what_is_wrong_in_one_line(make_store: MakeStore, out: Path, run_job: RunJob) -> None:
    done = run_job("evaluate.py", "--store", make_store(), "--split", "no-list.txt", "--out", out)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "no-list.txt" in done.stderr
    assert not out.exists()


def test_everything_on_s3(make_store: MakeStore, split: Path, s3: str) -> None:
    import s3fs

    store = make_store(f"{s3}/store")
    fs = s3fs.S3FileSystem(use_listings_cache=False)
    fs.put_file(str(split), f"{s3}/testlist01.txt")
    assert evaluate(EvaluateOptions(store, f"{s3}/testlist01.txt", f"{s3}/out/")) == 0
    metrics = json.loads(fs.cat_file(f"{s3}/out/metrics.json"))
    assert metrics["split"]["sha256"] == hashlib.sha256(split.read_bytes()).hexdigest()
    assert pq.read_table(f"{s3.removeprefix('s3://')}/out/scores.parquet", filesystem=fs).num_rows == 4 * 12
