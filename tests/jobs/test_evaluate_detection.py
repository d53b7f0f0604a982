"""`jobs/evaluate_detection.py` in this process, by its command line: results, comparisons, warnings."""

import json
import logging
import subprocess
import sys

import pytest

from attn.datasets.segments import GroundTruth, Segment
from attn.datasets.thumos14 import annotation_files
from tests.jobs.detection_files import FOUND, SCRIPT, TRUTH, results_json, truth_json


@pytest.fixture
def record(tmp_path):
    """Function that returns the content of `detection.json`."""
    return lambda: json.loads((tmp_path / "out/detection.json").read_text())


def of(record, evaluator, name="found"):
    (result,) = [one for one in record["results"] if (one["evaluator"], one["detections"]) == (evaluator, name)]
    return result


def test_figures_by_hand(detection_job, detection_files, record):
    """Wave: 3 right of 3. Kick: wrong (0.8, tIoU 0.4), wrong (0.6), right (0.5), of 3 segments."""
    assert detection_job(*detection_files(), "--tiou", 0.5, "--evaluator", "thumos14", "activitynet") == 0
    found = record()
    for evaluator in ("thumos14", "activitynet"):
        result = of(found, evaluator)
        assert result["per_class"] == {"Kick": [pytest.approx(1 / 9)], "Wave": [1]}
        assert result["map"] == [pytest.approx(5 / 9)]
        assert result["average_map"] == pytest.approx(5 / 9)
        assert (result["videos"], result["segments"], result["classes"]) == (3, 6, 2)
    assert [one["evaluator"] for one in found["results"]] == ["thumos14", "activitynet"]
    assert found["tiou"] == [0.5]
    assert found["warnings"] == []


def test_the_average_precision_is_that_of_the_evaluator_or_of_the_flag(detection_job, detection_files, record):
    assert detection_job(*detection_files()) == 0
    assert {one["evaluator"]: one["ap"] for one in record()["results"]} == {
        "activitynet": "interpolated",
        "thumos14": "noninterpolated",
        "wtalc": "noninterpolated",
    }
    assert detection_job(*detection_files(), "--ap", "11point") == 0
    assert {one["ap"] for one in record()["results"]} == {"11point"}


def test_intervals_hold_the_figures_and_repeat(detection_job, detection_files, record):
    assert detection_job(*detection_files()) == 0
    first = record()
    for result in first["results"]:
        for value, (low, high) in zip(result["map"], result["map_intervals"], strict=True):
            assert 0 <= low <= value <= high <= 1
        assert result["average_map_interval"][0] < result["average_map_interval"][1]
    assert detection_job(*detection_files()) == 0
    assert record() == first
    assert detection_job(*detection_files(), "--resamples", 0) == 0
    assert record()["results"][0]["map_intervals"] == [None] * 9
    assert record()["intervals"] is None


def test_files_are_compared_with_the_first_on_the_same_videos(detection_job, detection_files, record, tmp_path):
    better = results_json({name: [(*row, 1.0) for row in rows] for name, rows in TRUTH.items()})
    detection_files(better=better)
    flags = ("--annotations", tmp_path / "truth.json", "--out", tmp_path / "out", "--resamples", 200)
    named = [f"plain={tmp_path}/found.json", f"good={tmp_path}/better.json", f"again={tmp_path}/found.json"]
    assert detection_job("--detections", *named, *flags, "--evaluator", "activitynet", "--tiou", 0.5) == 0
    gain, none = record()["paired"]
    assert (gain["first"], gain["second"], gain["evaluator"]) == ("good", "plain", "activitynet")
    assert gain["map"] == [pytest.approx(1 - of(record(), "activitynet", "plain")["map"][0])]
    low, high = gain["map_intervals"][0]
    assert 0 <= low < gain["map"][0] < high
    assert (none["map"], none["map_intervals"]) == ([0], [[0, 0]])
    page = (tmp_path / "out/detection.md").read_text()
    assert "| good - plain | +44.4 (" in page


def test_tables_name_evaluator_definition_videos_and_exclusions(detection_job, detection_files, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert detection_job(*detection_files(), "--exclude", "c.mp4") == 0
    page = (tmp_path / "out/detection.md").read_text()
    for evaluator, kind in {"activitynet": "interpolated", "thumos14": "noninterpolated"}.items():
        (caption,) = [line for line in page.splitlines() if f"Evaluator {evaluator}:" in line]
        assert f"AP {kind}: " in caption
        assert "2 videos; excluded: c." in caption
    assert "| detections | 0.1 | 0.2 |" in page
    *_, head, one, two, three = [line for line in caplog.messages if line.count(".") > 8]
    assert head.split() == ["mAP", "in", "%", *(f"0.{i}" for i in range(1, 10)), "mean"]
    assert [line.split()[:3] for line in (one, two, three)] == [
        ["activitynet", "(interpolated)", "found"],
        ["thumos14", "(noninterpolated)", "found"],
        ["wtalc", "(noninterpolated)", "found"],
    ]
    assert any("2 videos, 5 segments, 2 classes; excluded: c;" in line for line in caplog.messages)


def test_excluded_videos_count_nowhere(detection_job, detection_files, record):
    assert detection_job(*detection_files(), "--exclude", "b", "c", "--tiou", 0.5, "--evaluator", "activitynet") == 0
    found = record()
    assert (found["ground_truth"]["excluded"], found["files"]["found"]["excluded"]) == (["b", "c"], 3)
    assert of(found, "activitynet")["per_class"] == {"Kick": [0], "Wave": [1]}


def test_videos_without_ground_truth_or_detections_are_warned_of(detection_job, detection_files, record, caplog):
    found = {**FOUND, "x": [("Wave", 0, 9, 2.0)], "e": [("Wave", 0, 9, 1.9)]}
    del found["c"]
    truth = truth_json(e={"annotations": []})
    assert detection_job(*detection_files(truth=truth, found=results_json(found)), "--tiou", 0.5) == 0
    others, missing = record()["warnings"]
    assert others == (
        "found: detections in videos without ground truth: 2 in e, x; activitynet and thumos14 count them as wrong, "
        "wtalc leaves them out"
    )
    assert missing == "found: annotated videos without detections: 1 (c)"
    assert {others, missing} <= {*caplog.messages}
    wave = {name: of(record(), name)["per_class"]["Wave"] for name in ("activitynet", "thumos14", "wtalc")}
    after_two = pytest.approx((1 / 3 + 2 / 4 + 3 / 5) / 3)
    assert wave == {"activitynet": [0.6], "thumos14": [after_two], "wtalc": [1]}
    assert of(record(), "wtalc")["removed_detections"] == 2


def test_names_of_videos_may_have_a_suffix_or_a_prefix(detection_job, detection_files, record):
    other = {"a.mp4": FOUND["a"], "v_b": FOUND["b"], "v_c.mp4": FOUND["c"]}
    assert detection_job(*detection_files(found=results_json(other)), "--tiou", 0.5) == 0
    assert record()["warnings"] == []
    assert of(record(), "thumos14")["map"] == [pytest.approx(5 / 9)]


def thumos(tmp_path, truth=None, ambiguous=()):
    """Folder with the annotation in THUMOS14's form."""
    segments = [Segment(name, *row) for name, rows in (truth or THUMOS).items() for row in rows]
    names = tuple(sorted({one.label for one in segments}))
    unsure = [Segment(name, "Ambiguous", *row) for name, *row in ambiguous]
    folder = tmp_path / "annotation"
    folder.mkdir()
    for name, text in annotation_files(GroundTruth(names, frozenset(), segments, unsure, subset="test")).items():
        (folder / name).write_text(text, newline="")
    return folder


THUMOS = {"a": [("Diving", 0, 10)], "b": [("Billiards", 0, 4)]}


def test_thumos14_files_and_ambiguous_segments(detection_job, tmp_path, record):
    folder = thumos(tmp_path, ambiguous=[("a", 30, 50), ("z", 0, 9)])
    text = tmp_path / "run.txt"
    text.write_text("a.mp4 40 45 26 0.9\na.mp4 0 10 26 0.5\nb 0 4 12 0.1\n")
    flags = ("--detections", text, "--annotations", folder, "--out", tmp_path / "out", "--tiou", 0.5, "--resamples", 0)
    assert detection_job(*flags) == 0
    assert {one["evaluator"]: one["map"] for one in record()["results"]} == {
        "activitynet": [0.75],
        "thumos14": [1],
        "wtalc": [1],
    }
    assert record()["ground_truth"]["without_segments"] == ["z"]
    assert detection_job(*flags, "--no-ambiguous") == 0
    assert {one["ambiguous"] for one in record()["results"]} == {"unused"}
    assert {one["map"][0] for one in record()["results"]} == {0.75}


def test_bad_annotations_are_warnings(detection_job, detection_files, record):
    truth = truth_json(a={"duration": 25}, b={"duration": 20})
    found = {name: [row for row in rows if row[2] <= 25] for name, rows in FOUND.items()}
    assert detection_job(*detection_files(truth=truth, found=results_json(found))) == 0
    assert record()["warnings"] == ["a: 1 of 3 annotated segments end after the video"]


def test_wrong_content_is_a_warning(detection_job, tmp_path, record):
    folder = thumos(tmp_path, {"video_test_0001496": [("Diving", 0, 10)]})
    text = tmp_path / "run.txt"
    text.write_text("video_test_0001496 0 10 26 0.5\n")
    flags = ("--annotations", folder, "--out", tmp_path / "out", "--resamples", 0)
    assert detection_job("--detections", text, *flags) == 0
    assert record()["warnings"] == ["video_test_0001496: its annotated segments are known to have the wrong content"]


def test_a_class_without_a_segment_is_left_out_of_the_mean(detection_job, detection_files, record):
    assert detection_job(*detection_files(), "--exclude", "b", "c", "a") == 2
    truth = truth_json({"a": [("Wave", 0, 10)], "b": [("Kick", 0, 4)]})
    found = results_json({"a": [("Wave", 0, 10, 1), ("Kick", 0, 10, 1)]})
    flags = detection_files(truth=truth, found=found)
    assert detection_job(*flags, "--exclude", "b", "--evaluator", "activitynet") == 0
    assert "classes without a segment, left out of the mean: Kick" in record()["warnings"]
    assert of(record(), "activitynet")["per_class"]["Kick"] is None
    assert of(record(), "activitynet")["map"] == [1] * 9


def test_steps_of_wtalc(detection_job, detection_files, record):
    flags = detection_files(found=results_json({"a": [("Wave", 0, 10, 1), ("Wave", 15, 15.6, 2)]}))
    for given, expected in (((), 0.5), (("--step-s", 0.64), 1)):
        assert detection_job(*flags, "--tiou", 0.9, "--evaluator", "wtalc", *given) == 0
        ranked_first = of(record(), "wtalc")["per_class"]["Wave"][0]
        assert ranked_first == pytest.approx(expected / 3)


def test_the_job_needs_neither_ray_nor_torch(detection_files, tmp_path):
    words = [str(SCRIPT), *map(str, detection_files())]
    code = (
        f"import runpy, sys\nsys.argv = {words}\ncode = runpy.run_path({str(SCRIPT)!r})['main']()\n"
        "sys.exit(code or [name for name in ('torch', 'ray') if name in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "thumos14 (noninterpolated) found" in done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"detection.json", "detection.md"}


def test_published_detections_through_the_job(detection_job, real_data, tmp_path, record):
    """Row d of the specification: THUMOS14's rule, 11 points, 210 videos."""
    folder = real_data / "thumos14"
    flags = ("--evaluator", "thumos14", "--ap", "11point", "--exclude", "video_test_0000270", "video_test_0001496")
    files = ("--detections", folder / "results.json", "--annotations", folder / "annotation")
    meta = ("--meta", folder / "test_set_final.mat")
    assert detection_job(*files, *meta, *flags, "--out", tmp_path / "out", "--resamples", 0) == 0
    (result,) = record()["results"]
    expected = [0.485400, 0.432242, 0.353691, 0.273268, 0.199210, 0.123323, 0.070958, 0.031676, 0.004968]
    assert result["map"] == pytest.approx(expected, abs=1e-6)
    assert (result["videos"], result["segments"]) == (210, 3311)
    assert record()["warnings"] == [
        "video_test_0000814: 3 of 11 annotated segments end after the video",
        "video_test_0001081: 1 of 4 annotated segments end after the video",
        "results: annotated videos without detections: 1 (video_test_0000664)",
    ]


TABLE = "video_id,label,start_s,end_s\n" + "".join(
    f"{video},{label},{start},{end}\n" for video, rows in TRUTH.items() for label, start, end in rows
)


def test_a_table_of_segments_is_ground_truth_too(detection_job, detection_files, record, tmp_path):
    flags = detection_files(truth=truth_json(street={}))
    assert detection_job(*flags) == 0
    expected = record()
    (tmp_path / "truth.csv").write_text(f"{TABLE}street,,,\n")
    flags = (*flags[:3], tmp_path / "truth.csv", *flags[4:])
    assert detection_job(*flags) == 0
    found = record()
    assert found["results"] == expected["results"]
    assert found["ground_truth"] == {**expected["ground_truth"], "file": "truth.csv", "subset": ""}
    assert found["ground_truth"]["without_segments"] == ["street"]
    assert "truth.csv: 3 videos, 6 segments" in (tmp_path / "out/detection.md").read_text()
    (tmp_path / "truth.csv").write_text(f"{TABLE}a,Ambiguous,30,35\n")
    assert detection_job(*flags) == 0
    assert record()["ground_truth"]["ambiguous"] == 1
    assert record()["ground_truth"]["classes"] == 2


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        (f"{TABLE}c,Wave,,\n", (), "truth.csv, row 7: class 'Wave' has no times. Fill in start_s and end_s."),
        ("video_id,label\na,Wave\n", (), "truth.csv, row 1: class 'Wave' has no times. Fill in start_s and end_s."),
        ("video_id,labels\na,\n", (), "truth.csv: has no segments. Give an annotation with start and end times."),
        (TABLE, ("--subset", "test"), "truth.csv is a table without subsets. Leave out --subset."),
    ],
)
def test_a_table_without_segments_is_refused(detection_job, detection_files, tmp_path, capsys, text, more, said):
    flags = detection_files()
    (tmp_path / "truth.csv").write_text(text)
    assert detection_job(*flags[:3], tmp_path / "truth.csv", *flags[4:], *more) == 2
    assert said in capsys.readouterr().err
