"""Labels from temporal annotations: classes without times, for a training that never opens the annotation."""

import dataclasses
import json
import os
import random
import sys

import pytest
import torch

from attn.commands.train_tsrnet import train_tsrnet
from attn.commands.train_tsrnet_plan import make_tsrnet_training
from attn.commands.video_labels import read_labels
from attn.commands.video_labels_options import VideoLabelsOptions
from attn.commands.write_video_labels import write_video_labels
from attn.datasets.split import has_times
from attn.errors import UsageError
from attn.models.tsrnet_file import load_tsrnet
from attn.training.tsrnet_options import TrainTsrnetOptions
from tests.untrimmed_stores import plant

SMALL = {"attention_dim": 8, "hidden_dim": 8, "num_samples": 20, "lr": 0.05, "updates": 30, "look_every": 30}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("annotated")
    plant(folder, videos=20)
    return folder


def labels_of(annotation, out, **change):
    assert write_video_labels(VideoLabelsOptions(str(annotation), str(out), **change)) == 0
    return out


def training_of(planted, labels, out):
    given = {"store": str(planted / "store"), "labels": str(labels), "out": str(out), "cpus_per_worker": 1}
    return TrainTsrnetOptions(**given, **SMALL, allow_untrained=True)


def test_the_labels_of_activitynets_json_are_its_classes_without_times(planted, tmp_path):
    labels = labels_of(planted / "segments.json", tmp_path / "labels.csv")
    assert labels.read_text() == (planted / "labels.csv").read_text()
    assert not has_times(str(labels))
    _, job, _ = make_tsrnet_training(training_of(planted, labels, tmp_path / "out"))
    assert len(job.train.video_ids) + len(job.held_out.video_ids) == 20


_WATCHED: dict[str, list[str]] = {}


def _watch(event, args):
    """Audit hook: files that are opened, of which those of annotations must not be."""
    if event == "open" and _WATCHED and isinstance(args[0], str):
        _WATCHED["opened"].append(os.path.basename(args[0]))
        if os.path.basename(args[0]) in _WATCHED["forbidden"]:
            raise PermissionError(f"{args[0]}: a training must not open it")


def test_permuted_annotations_give_bitwise_the_same_weights_and_are_never_opened(planted, tmp_path):
    content = json.loads((planted / "segments.json").read_text())
    entries = [entry for video in content["database"].values() for entry in video["annotations"]]
    times = [entry["segment"] for entry in entries]
    random.Random(0).shuffle(times)
    assert times != [entry["segment"] for entry in entries]
    for entry, segment in zip(entries, times, strict=True):
        entry["segment"] = segment
    (tmp_path / "permuted.json").write_text(json.dumps(content))
    weights = []
    sys.addaudithook(_watch)
    for name in ("segments.json", "permuted.json"):
        folder = tmp_path / name.removesuffix(".json")
        folder.mkdir()
        labels = labels_of((planted if name == "segments.json" else tmp_path) / name, folder / "labels.csv")
        (folder / name).write_text("{}")  # beside the labels, as in a data set
        _WATCHED.update(opened=[], forbidden=["segments.json", "permuted.json"])
        try:
            assert train_tsrnet(training_of(planted, labels, folder / "out")) == 0
            assert "labels.csv" in _WATCHED["opened"]
            with pytest.raises(PermissionError, match="must not open it"):
                (folder / name).read_text()
        finally:
            _WATCHED.clear()
        weights.append(load_tsrnet(str(folder / "out")).net.state_dict())
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_videos_with_ambiguous_segments_only_are_not_background(tmp_path):
    (tmp_path / "Dive_val.txt").write_text("a  1.0 2.0\r\nb  3.0 4.0\r\n")
    (tmp_path / "Kick_val.txt").write_text("a  5.0 6.0\n")
    (tmp_path / "Ambiguous_val.txt").write_text("b  7.0 8.0\nc  1.0 2.0\n")
    labels = labels_of(tmp_path, tmp_path / "out.csv")
    assert labels.read_text() == "video_id,labels\na,Dive\na,Kick\nb,Dive\n"


def test_an_overlap_list_leaves_shared_classes_and_their_videos(planted, tmp_path):
    (tmp_path / "overlap.txt").write_text("Embrace\tHug\n")
    labels = labels_of(planted / "segments.json", tmp_path / "hug.csv", class_map=str(tmp_path / "overlap.txt"))
    lines = [line for line in (planted / "labels.csv").read_text().splitlines() if line.endswith((",Hug", ",labels"))]
    assert labels.read_text().splitlines() == lines
    assert 2 < len(lines) < 20


def test_stored_videos_of_mirrors_begin_with_v(tmp_path):
    (tmp_path / "labels.csv").write_text("video_id,labels\nabc,Hug\nv_def,Kick\nghi,\n")
    found = read_labels(str(tmp_path / "labels.csv"), ("Hug", "Kick"), ["v_abc", "v_def", "ghi"])
    assert found == {"v_abc": ("Hug",), "v_def": ("Kick",), "ghi": ()}
    (tmp_path / "labels.csv").write_text("video_id,labels\nabc,Hug\nv_abc,Kick\n")
    with pytest.raises(UsageError, match=r"labels\.csv: lists a video with and without `v_`"):
        read_labels(str(tmp_path / "labels.csv"), ("Hug", "Kick"), ["v_abc"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out": "labels.txt"}, r"--out .*labels\.txt: not a \.csv file"),
        ({"annotations": "nothing.json"}, r"nothing\.json"),
        ({"annotations": "labels.csv"}, r"labels\.csv.* has no times"),
        ({"subset": "training"}, "has no subset 'training', only test"),
        ({"class_map": "map.txt"}, r"map\.txt, line 1: 'Hugging' is not a class of"),
    ],
    ids=str,
)
def test_bad_input_is_refused_and_nothing_is_written(planted, tmp_path, change, message):
    (planted / "map.txt").write_text("Embrace Hugging\n")
    paths = {"annotations": planted / "segments.json", "out": tmp_path / "out.csv"}
    for name in ("annotations", "class_map", "out"):
        if name in change:
            paths[name] = (tmp_path if name == "out" else planted) / change[name]
    usual = VideoLabelsOptions(**{name: str(path) for name, path in paths.items()})
    with pytest.raises(UsageError, match=message):
        write_video_labels(dataclasses.replace(usual, subset=change.get("subset")))
    assert not list(tmp_path.iterdir())
