"""ActivityNet's JSON: what is read, written and refused."""

import json

import pytest

from attn.datasets.activitynet import ground_truth_json, read_ground_truth, read_results, results_json
from attn.datasets.segments import Detection, GroundTruth, Segment, beyond_end, check_labels
from attn.errors import UsageError
from attn.storage.location import Location


@pytest.fixture
def write(tmp_path):
    """write(content): path of a JSON file with the content, or of a file with a text."""

    def of(content):
        path = tmp_path / "file.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return of


def results(**changes):
    return {"results": {"v": [{"label": "Wave", "score": 0.5, "segment": [1, 2]} | changes]}}


def annotations(*entries, **video):
    return {"database": {"v": {"subset": "test", "annotations": list(entries), **video}}}


WAVE = {"label": "Wave", "segment": ["1.5", "2"]}


def test_results_keep_their_order(write):
    entries = {"b": [{"label": "Wave", "score": 1, "segment": [0, 1.5]}], "a": []}
    entries["c"] = [{"label": "Kick", "score": -3.25, "segment": ["2", "4"]}] * 2
    assert read_results(write({"results": entries})) == [
        Detection("b", "Wave", 0, 1.5, 1),
        *[Detection("c", "Kick", 2, 4, -3.25)] * 2,
    ]


def test_ground_truth_with_times_as_texts(write):
    content = annotations(WAVE, {"label": "Kick", "segment": [3, 4]}, duration="7.5")
    content["database"]["empty"] = {"subset": "test", "annotations": []}
    found = read_ground_truth(write(content))
    assert found.segments == [Segment("v", "Wave", 1.5, 2), Segment("v", "Kick", 3, 4)]
    assert found.class_names == ("Kick", "Wave")
    assert (found.video_ids, found.durations_s, found.subset) == ({"v", "empty"}, {"v": 7.5}, "test")


def test_only_the_subset_is_read(write):
    content = annotations(WAVE)
    content["database"]["w"] = {"subset": "training", "annotations": [{"label": "Kick", "segment": [0, 1]}]}
    url = write(content)
    assert read_ground_truth(url, "test").class_names == ("Wave",)
    assert read_ground_truth(url, "training").class_names == ("Kick",)
    with pytest.raises(UsageError, match=r"has the subsets test, training\. Name one with --subset"):
        read_ground_truth(url)
    with pytest.raises(UsageError, match="no subset 'val', only test, training"):
        read_ground_truth(url, "val")


def test_written_files_are_read_back(tmp_path):
    detections = [Detection("v", "Wave", 0.1, 1 / 3, 2 / 7), Detection("w", "Kick", 5.0, 6.0, -1.0)]
    truth = GroundTruth(
        ("Kick", "Wave"), frozenset({"v", "w", "x"}), [Segment("v", "Wave", 0.1, 2.0), Segment("w", "Kick", 1.0, 2.0)],
        durations_s={"v": 9.5}, subset="test",
    )  # fmt: skip
    for name, content in {"results": results_json(detections), "truth": ground_truth_json(truth)}.items():
        (tmp_path / f"{name}.json").write_bytes(content)
    assert read_results(str(tmp_path / "results.json")) == detections
    assert read_ground_truth(str(tmp_path / "truth.json")) == truth
    written = json.loads((tmp_path / "results.json").read_text())
    assert {"results", "version", "external_data"} <= written.keys()  # the official evaluator requires them


def test_remote_files_are_read():
    Location.at("memory://results.json").write_atomic(json.dumps(results()).encode())
    assert read_results("memory://results.json") == [Detection("v", "Wave", 1, 2, 0.5)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[" * 10**5, "not JSON"),
        ([], "not a file of ActivityNet's results"),
        ({"results": []}, "not a file of ActivityNet's results"),
        ({"results": {"v": {}}}, "video v: its entries are not a list"),
        ({"results": {"v": [3]}}, "video v, entry 1: lacks a label"),
        ({"results": {"v": [{"label": "Wave", "score": 1}]}}, "entry 1: lacks a label, or a segment of two times"),
        (results(label=7), "entry 1: lacks a label"),
        (results(segment=[1, 2, 3]), "a segment of two times"),
        (results(segment="12"), "a segment of two times"),
        (results(segment=[2, 1]), r"video v, entry 1: the segment 2 to 1 s is reversed"),
        (results(segment=["a", 1]), "the start 'a' is not a finite number"),
        (results(segment=[0, None]), "the end 'None' is not a finite number"),
        (results(score=float("nan")), "video v, entry 1: the score 'nan' is not a finite number"),
        (results(score=float("inf")), "the score 'inf' is not a finite number"),
        (results(score=10**400), "the score '1000"),
        (results(score=None), "the score 'None'"),
        (results(score=True), "the score 'True'"),
    ],
)
def test_results_of_another_form_are_refused(write, content, message):
    with pytest.raises(UsageError, match=message):
        read_results(write(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"results": {}}, "not a file of ActivityNet's ground truth"),
        ({"database": {"v": []}}, "not an object"),
        (annotations(), "has no segments"),
        ({"database": {}}, "has no segments"),
        (annotations({"label": "Wave", "segment": ["2", "1.5"]}), "the segment 2 to 1.5 s is reversed"),
        (annotations(WAVE, duration="long"), "video v: the duration 'long' is not a finite number"),
        (annotations({"label": "Wave"}), "lacks a label, or a segment"),
    ],
)
def test_ground_truth_of_another_form_is_refused(write, content, message):
    with pytest.raises(UsageError, match=message):
        read_ground_truth(write(content))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        read_results(str(tmp_path / "results.json"))


def test_unknown_labels_are_named():
    found = [Detection("v", label, 0, 1, 1) for label in ("Wave", "Hug", "Shove")]
    with pytest.raises(UsageError, match=r"f\.json: not among the 2 classes of the ground truth: 'Hug', 'Shove'\."):
        check_labels(found, ("Wave", "Kick"), "f.json")


def test_segments_beyond_the_end_are_counted():
    found = [Segment("v", "Wave", 1, 10), Segment("v", "Wave", 1, 10.5), Segment("w", "Wave", 11, 12)]
    durations = {"v": 10.0}
    assert beyond_end(found, durations) == {"v": 1}
    assert beyond_end(found, durations, tolerance_s=1) == {}
    assert beyond_end(found, {"w": 11.5}) == {"w": 1}
