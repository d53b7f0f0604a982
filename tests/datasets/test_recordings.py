"""Recordings by the names of clips, and the warning of an evaluation on clips of training recordings."""

import pytest

from attn.commands.evaluate import evaluate
from attn.commands.evaluate_options import EvaluateOptions
from attn.datasets.recordings import recording_in_name, shared_recordings


@pytest.mark.parametrize(
    ("video_id", "recording"),
    [
        ("v_Archery_g07_c02", "v_Archery_g07"),
        ("v_walk_dog_07_02", "v_walk_dog_07"),
        ("walking/v_walk_dog_07_02", "v_walk_dog_07"),
        ("clip7", None),
        ("v_07", None),
    ],
)
def test_a_recording_is_the_name_without_the_clip(video_id, recording):
    assert recording_in_name(video_id) == recording


def test_only_clips_of_one_class_and_recording_are_paired():
    learnt = ["v_Archery_g07_c02", "v_Bowling_g01_c01", "clip7"]
    tested = ["v_Archery_g07_c01", "v_Archery_g01_c01", "v_Bowling_g01_c03", "clip8"]
    assert shared_recordings(learnt, tested) == [
        ("v_Archery_g07_c01", "v_Archery_g07_c02"),
        ("v_Bowling_g01_c03", "v_Bowling_g01_c01"),
    ]


def test_an_evaluation_on_clips_of_training_recordings_warns(make_store, tmp_path, caplog):
    clips = [f"v_{name}_g{group:02}_c01" for group in (1, 2) for name in ("Hug", "Kick")]
    store = make_store(dict.fromkeys([*clips, "v_Hug_g02_c02"], 2))
    for name, part in {"train": clips[:2], "alone": clips[2:], "near": ["v_Hug_g02_c02"]}.items():
        lines = [f"{clip},{clip.split('_')[1]}" for clip in part]
        (tmp_path / f"{name}.csv").write_text("\n".join(["video_id,label", *lines, ""]))
    (tmp_path / "all.csv").write_text((tmp_path / "train.csv").read_text() + f"{clips[2]},Hug\n")

    def run(train, test):
        caplog.clear()
        lists = {"split": str(tmp_path / f"{test}.csv"), "train_split": str(tmp_path / f"{train}.csv")}
        assert evaluate(EvaluateOptions(store=store, out=str(tmp_path / "out"), methods=("svm",), **lists)) == 0
        return caplog.text

    assert "recordings" not in run("train", "alone")
    said = "1 of the 1 test clips are from recordings of its training clips, such as v_Hug_g02_c02 and v_Hug_g02_c01."
    assert said in run("all", "near")
