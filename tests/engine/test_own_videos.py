"""Own videos from the folder to the table: numbered by cameras, so that names repeat, and listed by hand."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attn.commands.estimate import estimate
from attn.commands.evaluate import evaluate
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.precompute_plan import Plan, make_plan
from attn.commands.training_videos import find_training_videos
from attn.commands.verify import verify
from attn.commands.verify_options import VerifyOptions
from attn.engine.filling import fill_store
from attn.engine.placement import Placement
from attn.errors import UsageError
from attn.training.cnn_options import TrainCnnOptions

PLACEMENT = Placement((1, 1), 0, 1, 0.5, 1, 1)
LIST = "one/clip.avi Wave\nmy/videos/two/clip.avi kick\n"


@pytest.fixture
def videos(clip_folder: Path, tmp_path: Path) -> Path:
    """Two of one name, one without a label, and a file that may be a video."""
    folder = tmp_path / "videos"
    for name, number in (("one/clip.avi", 2), ("two/clip.avi", 3), ("c.avi", 4)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(next(clip_folder.glob(f"*/v_*_g0{number}_c01.avi")), folder / name)
    (folder / "x.gif").touch()
    (tmp_path / "list.txt").write_text(LIST)
    return folder


@pytest.fixture
def plan(videos: Path, small_weights: Path, tmp_path: Path) -> Callable[[], Plan]:
    flags = {"labels": str(tmp_path / "list.txt")}
    return lambda: make_plan(
        PrecomputeOptions(videos=str(videos), out=str(tmp_path / "store"), weights=str(small_weights), **flags)
    )


@pytest.fixture
def store(plan: Callable[[], Plan], tmp_path: Path, write_store: Callable[..., str]) -> str:
    """Of all three; the CNN is sure of the right class."""
    manifest = plan().manifest
    rows = {}
    for name, label in (("one/clip", 0), ("two/clip", 1), ("c", 2)):
        logits = np.eye(3, dtype=np.float32)[[label]]
        rows[name] = {"logits": logits, "maps": np.ones((1, 3, *manifest.map_shape), np.float16)}
    return write_store(str(tmp_path / "store"), manifest, rows, finished=False)


def test_lists_of_other_classes_choose_videos_and_give_no_label(videos, small_weights, tmp_path, caplog) -> None:
    """As for features of a CNN of ImageNet. One class that is the CNN's and one that is not are a mistake."""
    caplog.set_level("INFO")
    chosen = tmp_path / "chosen.txt"
    options = PrecomputeOptions(
        videos=str(videos), out=str(tmp_path / "other"), weights=str(small_weights), lists=(str(chosen),)
    )
    chosen.write_text("one/clip.avi Juggling\ntwo/clip.avi Rowing\n")
    assert {video.video_id: video.label for video in make_plan(options).videos} == {"one/clip": None, "two/clip": None}
    assert "its classes are not those of the CNN" in caplog.text
    chosen.write_text("one/clip.avi Wave\ntwo/clip.avi Rowing\n")
    with pytest.raises(UsageError, match="Rowing' is not among the 3 class names of the CNN"):
        make_plan(options)


def test_columns_without_classes_fit_lists_that_share_some_names_with_the_cnns(videos, small_weights, tmp_path) -> None:
    """UCF101 and ImageNet both have a balance beam."""
    chosen, flags = tmp_path / "chosen.txt", {"columns": ("features", "grid")}
    lists = (str(chosen),)
    options = PrecomputeOptions(
        videos=str(videos), out=str(tmp_path / "other"), weights=str(small_weights), lists=lists, **flags
    )
    for text, labels in (("Wave", [0, 1]), ("Rowing", [None, None])):
        chosen.write_text(f"one/clip.avi {text}\ntwo/clip.avi Kick\n")
        assert [video.label for video in make_plan(options).videos] == labels


@pytest.mark.parametrize("flag", ["lists", "labels"])
def test_videos_of_several_classes_or_none_have_no_label_in_the_store(videos, small_weights, tmp_path, flag) -> None:
    table = tmp_path / "table.csv"
    table.write_text("video_id,labels\none/clip,Wave\ntwo/clip,Kick\ntwo/clip,Hug\nc,\n")
    given = (str(table),) if flag == "lists" else str(table)
    options = PrecomputeOptions(
        videos=str(videos), out=str(tmp_path / "other"), weights=str(small_weights), **{flag: given}
    )
    found = {video.video_id: video.label for video in make_plan(options).videos}
    assert found == {"one/clip": 0, "two/clip": None, "c": None}


@pytest.mark.parametrize(("numbers", "labels"), [((0, 1, 2), [2, 0, 1]), ((1, 2, 3), [2, 0, 1]), ((1, 2, 2), None)])
def test_numbers_in_a_list_are_those_of_the_cnns_classes(videos, small_weights, tmp_path, numbers, labels) -> None:
    """They begin at 0 or at 1, whichever the list shows; a list that shows neither is a mistake."""
    rows = zip(("one/clip", "two/clip", "c"), numbers, strict=True)
    (tmp_path / "chosen.csv").write_text("video_id,label\n" + "".join(f"{name},{number}\n" for name, number in rows))
    lists = (str(tmp_path / "chosen.csv"),)
    options = PrecomputeOptions(
        videos=str(videos), out=str(tmp_path / "other"), weights=str(small_weights), lists=lists
    )
    if labels is None:
        with pytest.raises(UsageError, match="class '1' is not among the 3 class names"):
            make_plan(options)
    else:
        assert [video.label for video in make_plan(options).videos] == labels


def test_a_plan_tells_them_apart_and_says_what_it_lacks(plan, caplog) -> None:
    caplog.set_level("INFO")
    made = plan()
    assert {video.video_id: video.label for video in made.videos} == {"one/clip": 0, "two/clip": 1, "c": None}
    assert any(message.startswith("1 of 3 videos have no label: c. ") for message in caplog.messages)
    assert sum("1 file left out that may be videos: 1 .gif (x.gif)" in message for message in caplog.messages) == 1
    assert str(estimate(made, PLACEMENT, overwrite=False)).endswith("; 1 files left out")


def test_a_plan_takes_numbers_for_classes(plan, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("one/clip.avi 2\nmy/videos/two/clip.avi 0\n")
    assert {video.video_id: video.label for video in plan().videos} == {"one/clip": 2, "two/clip": 0, "c": None}


def test_a_finished_store_notes_what_was_left_out(plan, store: str) -> None:
    assert fill_store(plan(), PLACEMENT, lambda *told, **named: pytest.fail("nothing is left to do")) == 0
    noted = json.loads(Path(store, "_SUCCESS.json").read_text())
    assert noted["left_out"] == {"files": 1, "kinds": {".gif": 1}, "first": ["x.gif"]}
    verdict = verify(VerifyOptions(store))
    assert verdict.exit_code == 0
    assert "1 file left out that may be videos: 1 .gif (x.gif)" in str(verdict)


def test_a_store_begun_before_the_name_was_shared_is_not_filled_with_others(
    plan, videos: Path, tmp_path: Path, write_store: Callable[..., str]
) -> None:
    manifest = plan().manifest
    maps = np.ones((1, 3, *manifest.map_shape), np.float16)
    write_store(str(tmp_path / "store"), manifest, {"clip": {"logits": np.ones((1, 3), np.float32), "maps": maps}})
    with pytest.raises(UsageError, match=r"store: contains a video 'clip', but several videos now have this name"):
        plan()
    (videos / "two" / "clip.avi").rename(videos / "two" / "other.avi")
    assert {video.video_id: video.label for video in plan().videos} == {"clip": 0, "other": None, "c": None}


def test_they_are_evaluated_by_the_same_list(store: str, tmp_path: Path) -> None:
    options = EvaluateOptions(store, str(tmp_path / "list.txt"), str(tmp_path / "out"), ("cnn",), allow_partial=True)
    assert evaluate(options) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["methods"]["cnn"]["top_1"]["value"] == 1
    assert metrics["split"]["videos"] == 2
    assert metrics["missing"]["videos"] == 0


def test_they_are_trained_on_by_the_same_list(videos: Path, tmp_path: Path) -> None:
    options = TrainCnnOptions(
        videos=str(videos), split=str(tmp_path / "list.txt"), backbone="small_cnn", out="x.safetensors"
    )
    footage = find_training_videos(options, ("Wave", "Kick"))
    assert footage.split == {"one/clip": "Wave", "two/clip": "Kick"}
    assert [Path(video.url).parent.name for video in footage.videos] == ["one", "two"]
    (videos / "one" / "clip.avi").unlink()
    with pytest.raises(UsageError, match=r"1 of the 2 videos of .*list\.txt are missing: one/clip\. Add them"):
        find_training_videos(options, ("Wave", "Kick"))
