"""`jobs/evaluate_detection.py` in this process, by its command line: results, comparisons, and invalid input."""

import json
import logging
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from attn.commands.evaluate_detection_inputs import parse_tious
from attn.datasets.segments import GroundTruth, Segment
from attn.datasets.thumos14 import annotation_files
from attn.errors import UsageError

SCRIPT = Path(__file__).resolve().parents[2] / "jobs/evaluate_detection.py"

TRUTH = {
    "a": [("Wave", 0, 10), ("Wave", 20, 30), ("Kick", 5, 9)],
    "b": [("Wave", 0, 4), ("Kick", 10, 20)],
    "c": [("Kick", 0, 6)],
}
FOUND = {
    "a": [("Wave", 0, 10, 0.9), ("Wave", 21, 30, 0.4), ("Kick", 30, 35, 0.6)],
    "b": [("Kick", 10, 14, 0.8), ("Wave", 0, 4, 0.3)],
    "c": [("Kick", 0, 6, 0.5)],
}


def truth_json(truth=None, **videos):
    database = {
        name: {
            "subset": "test",
            "annotations": [{"label": label, "segment": [start, end]} for label, start, end in rows],
        }
        for name, rows in (truth or TRUTH).items()
    }
    for name, changes in videos.items():
        database[name] = database.get(name, {"subset": "test", "annotations": []}) | changes
    return {"database": database}


def results_json(found=None):
    return {
        "results": {
            name: [{"label": label, "segment": [start, end], "score": score} for label, start, end, score in rows]
            for name, rows in (FOUND if found is None else found).items()
        }
    }


@pytest.fixture
def job(monkeypatch):
    """job(*words): exit code of the script with these words on its command line."""
    main = runpy.run_path(str(SCRIPT))["main"]
    on_sigterm, level = signal.getsignal(signal.SIGTERM), logging.getLogger("attn").level

    def run(*words):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
        try:
            return main()
        except SystemExit as end:
            return end.code

    yield run
    signal.signal(signal.SIGTERM, on_sigterm)
    logging.getLogger("attn").setLevel(level)


@pytest.fixture
def files(tmp_path):
    """files(name=content, …): writes JSON files, and returns the flags that name them and the output."""

    def write(**contents):
        contents = {"truth": truth_json(), "found": results_json()} | contents
        for name, content in contents.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / f"{name}.json").write_text(text)
        return (
            *("--detections", tmp_path / "found.json", "--annotations", tmp_path / "truth.json"),
            *("--out", tmp_path / "out", "--resamples", 20),
        )

    return write


@pytest.fixture
def record(tmp_path):
    """Function that returns the content of `detection.json`."""
    return lambda: json.loads((tmp_path / "out/detection.json").read_text())


def of(record, evaluator, name="found"):
    (result,) = [one for one in record["results"] if (one["evaluator"], one["detections"]) == (evaluator, name)]
    return result


@pytest.fixture
def refused(job, tmp_path, capsys):
    """refused(*words): the only line of an invalid command, which must write nothing."""

    def run(*words):
        assert job(*words) == 2
        assert not (tmp_path / "out").exists()
        printed = capsys.readouterr()
        assert printed.out == ""
        (line,) = printed.err.splitlines()
        assert line.startswith("error: ")
        return line

    return run


def test_figures_by_hand(job, files, record):
    """Wave: 3 right of 3. Kick: wrong (0.8, tIoU 0.4), wrong (0.6), right (0.5), of 3 segments."""
    assert job(*files(), "--tiou", 0.5, "--evaluator", "thumos14", "activitynet") == 0
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


def test_the_average_precision_is_that_of_the_evaluator_or_of_the_flag(job, files, record):
    assert job(*files()) == 0
    assert {one["evaluator"]: one["ap"] for one in record()["results"]} == {
        "activitynet": "interpolated",
        "thumos14": "noninterpolated",
        "wtalc": "noninterpolated",
    }
    assert job(*files(), "--ap", "11point") == 0
    assert {one["ap"] for one in record()["results"]} == {"11point"}


def test_intervals_hold_the_figures_and_repeat(job, files, record):
    assert job(*files()) == 0
    first = record()
    for result in first["results"]:
        for value, (low, high) in zip(result["map"], result["map_intervals"], strict=True):
            assert 0 <= low <= value <= high <= 1
        assert result["average_map_interval"][0] < result["average_map_interval"][1]
    assert job(*files()) == 0
    assert record() == first
    assert job(*files(), "--resamples", 0) == 0
    assert record()["results"][0]["map_intervals"] == [None] * 9
    assert record()["intervals"] is None


def test_files_are_compared_with_the_first_on_the_same_videos(job, files, record, tmp_path):
    better = results_json({name: [(*row, 1.0) for row in rows] for name, rows in TRUTH.items()})
    files(better=better)
    flags = ("--annotations", tmp_path / "truth.json", "--out", tmp_path / "out", "--resamples", 200)
    named = [f"plain={tmp_path}/found.json", f"good={tmp_path}/better.json", f"again={tmp_path}/found.json"]
    assert job("--detections", *named, *flags, "--evaluator", "activitynet", "--tiou", 0.5) == 0
    gain, none = record()["paired"]
    assert (gain["first"], gain["second"], gain["evaluator"]) == ("good", "plain", "activitynet")
    assert gain["map"] == [pytest.approx(1 - of(record(), "activitynet", "plain")["map"][0])]
    low, high = gain["map_intervals"][0]
    assert 0 <= low < gain["map"][0] < high
    assert (none["map"], none["map_intervals"]) == ([0], [[0, 0]])
    page = (tmp_path / "out/detection.md").read_text()
    assert "| good - plain | +44.4 (" in page


def test_tables_name_evaluator_definition_videos_and_exclusions(job, files, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert job(*files(), "--exclude", "c.mp4") == 0
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


def test_excluded_videos_count_nowhere(job, files, record):
    assert job(*files(), "--exclude", "b", "c", "--tiou", 0.5, "--evaluator", "activitynet") == 0
    found = record()
    assert (found["ground_truth"]["excluded"], found["files"]["found"]["excluded"]) == (["b", "c"], 3)
    assert of(found, "activitynet")["per_class"] == {"Kick": [0], "Wave": [1]}


def test_videos_without_ground_truth_or_detections_are_warned_of(job, files, record, caplog):
    found = {**FOUND, "x": [("Wave", 0, 9, 2.0)], "e": [("Wave", 0, 9, 1.9)]}
    del found["c"]
    truth = truth_json(e={"annotations": []})
    assert job(*files(truth=truth, found=results_json(found)), "--tiou", 0.5) == 0
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


def test_names_of_videos_may_have_a_suffix_or_a_prefix(job, files, record):
    other = {"a.mp4": FOUND["a"], "v_b": FOUND["b"], "v_c.mp4": FOUND["c"]}
    assert job(*files(found=results_json(other)), "--tiou", 0.5) == 0
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


def test_thumos14_files_and_ambiguous_segments(job, tmp_path, record):
    folder = thumos(tmp_path, ambiguous=[("a", 30, 50), ("z", 0, 9)])
    text = tmp_path / "run.txt"
    text.write_text("a.mp4 40 45 26 0.9\na.mp4 0 10 26 0.5\nb 0 4 12 0.1\n")
    flags = ("--detections", text, "--annotations", folder, "--out", tmp_path / "out", "--tiou", 0.5, "--resamples", 0)
    assert job(*flags) == 0
    assert {one["evaluator"]: one["map"] for one in record()["results"]} == {
        "activitynet": [0.75],
        "thumos14": [1],
        "wtalc": [1],
    }
    assert record()["ground_truth"]["without_segments"] == ["z"]
    assert job(*flags, "--no-ambiguous") == 0
    assert {one["ambiguous"] for one in record()["results"]} == {"unused"}
    assert {one["map"][0] for one in record()["results"]} == {0.75}


def test_bad_annotations_are_warnings(job, files, record):
    truth = truth_json(a={"duration": 25}, b={"duration": 20})
    found = {name: [row for row in rows if row[2] <= 25] for name, rows in FOUND.items()}
    assert job(*files(truth=truth, found=results_json(found))) == 0
    assert record()["warnings"] == ["a: 1 of 3 annotated segments end after the video"]


def test_wrong_content_is_a_warning(job, tmp_path, record):
    folder = thumos(tmp_path, {"video_test_0001496": [("Diving", 0, 10)]})
    text = tmp_path / "run.txt"
    text.write_text("video_test_0001496 0 10 26 0.5\n")
    assert job("--detections", text, "--annotations", folder, "--out", tmp_path / "out", "--resamples", 0) == 0
    assert record()["warnings"] == ["video_test_0001496: its annotated segments are known to have the wrong content"]


def test_a_class_without_a_segment_is_left_out_of_the_mean(job, files, record):
    assert job(*files(), "--exclude", "b", "c", "a") == 2
    truth = truth_json({"a": [("Wave", 0, 10)], "b": [("Kick", 0, 4)]})
    found = results_json({"a": [("Wave", 0, 10, 1), ("Kick", 0, 10, 1)]})
    assert job(*files(truth=truth, found=found), "--exclude", "b", "--evaluator", "activitynet") == 0
    assert "classes without a segment, left out of the mean: Kick" in record()["warnings"]
    assert of(record(), "activitynet")["per_class"]["Kick"] is None
    assert of(record(), "activitynet")["map"] == [1] * 9


def test_steps_of_wtalc(job, files, record):
    flags = files(found=results_json({"a": [("Wave", 0, 10, 1), ("Wave", 15, 15.6, 2)]}))
    for given, expected in (((), 0.5), (("--step-s", 0.64), 1)):
        assert job(*flags, "--tiou", 0.9, "--evaluator", "wtalc", *given) == 0
        ranked_first = of(record(), "wtalc")["per_class"]["Wave"][0]
        assert ranked_first == pytest.approx(expected / 3)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"found": "{"}, "found.json: not JSON"),
        ({"found": {"results": {}}}, "found.json: has no detections"),
        ({"found": {"results": {"a": []}}}, "found.json: has no detections"),
        ({"found": {}}, "not a file of ActivityNet's results"),
        ({"found": results_json({"a": [("Hug", 0, 1, 1)]})}, "not among the 2 classes of the ground truth: 'Hug'."),
        ({"found": results_json({"a": [("Wave", 0, 1, float("nan"))]})}, "video a, entry 1: the score 'nan'"),
        ({"found": results_json({"a": [("Wave", 3, 1, 1)]})}, "video a, entry 1: the segment 3 to 1 s is reversed"),
        (
            {"truth": truth_json(a={"duration": 8}), "found": results_json({"a": [("Wave", 0, 9.5, 1)]})},
            "a detection of a ends at 9.5 s, the video at 8 s",
        ),
        (
            {"found": results_json({"x": [("Wave", 0, 1, 1)]})},
            "no detection is in one of the 3 annotated videos, but in x",
        ),
        ({"truth": "[]"}, "truth.json: not a file of ActivityNet's ground truth"),
        ({"truth": truth_json(a={"subset": "validation"})}, "has the subsets test, validation. Name one with --subset"),
    ],
)
def test_invalid_files_are_refused(files, refused, contents, message):
    assert message in refused(*files(**contents))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--evaluator", "voc"), "voc"),
        (("--evaluator",), "--evaluator: empty"),
        (("--ap", "voc"), "voc"),
        (("--tiou", "0"), "--tiou 0: not thresholds above 0 and at most 1"),
        (("--tiou", "0.5:0.1"), "--tiou 0.5:0.1: not thresholds"),
        (("--tiou",), "--tiou: empty"),
        (("--exclude", "nothing"), "--exclude nothing: not annotated"),
        (("--exclude", "a", "b", "c"), "--exclude: leaves no video with a segment"),
        (("--subset", "val"), "has no subset 'val', only test"),
        (("--resamples", "-1"), "--resamples -1: must be 0 or more"),
        (("--step-s", "0"), "--step-s 0: must be above 0"),
        (("--step-s", "1", "--evaluator", "thumos14"), "needs --evaluator wtalc"),
        (("--meta", "no.mat"), "does not exist"),
        (("--detections",), "--detections: empty"),
        (("--detections", "x=a.json", "x=b.json"), "the name 'x' is taken. Write NAME=b.json"),
        (("--annotations", "no.json"), "does not exist"),
        (("--annotations", "no"), "has no files <Class>_test.txt"),
        (("--out", "/proc/none"), "/proc"),
    ],
)
def test_invalid_flags_are_refused(files, refused, words, message):
    assert message in refused(*files(), *words)


def test_a_meta_file_of_other_videos_is_refused(refused, files, tmp_path):
    import scipy.io

    from tests.datasets.test_thumos14_meta import video

    one = video("other", 7)
    records = np.array([tuple(one.values())], [(name, object) for name in one])
    scipy.io.savemat(tmp_path / "meta.mat", {"test_videos": records})
    assert "has none of the annotated videos" in refused(*files(), "--meta", tmp_path / "meta.mat")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["0.1:0.1:0.9"], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        (["0.5:0.05:0.95"], [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]),
        (["0.75", "0.5", "1", "0.5:0.2:0.8"], [0.5, 0.7, 0.75, 1]),
        (["1e-1"], [0.1]),
    ],
)
def test_thresholds_are_exact_decimals(words, expected):
    assert parse_tious(words) == expected


@pytest.mark.parametrize(
    "word", ["", "a", "nan", "inf", "-0.1", "1.01", "0.9:0.1:0.5", "0.1:0:0.9", "0.1:1e-9:0.9", "::"]
)
def test_other_thresholds_are_refused(word):
    with pytest.raises(UsageError, match="not thresholds"):
        parse_tious([word])


def test_the_job_needs_neither_ray_nor_torch(files, tmp_path):
    words = [str(SCRIPT), *map(str, files())]
    code = (
        f"import runpy, sys\nsys.argv = {words}\ncode = runpy.run_path({str(SCRIPT)!r})['main']()\n"
        "sys.exit(code or [name for name in ('torch', 'ray') if name in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "thumos14 (noninterpolated) found" in done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"detection.json", "detection.md"}


def test_published_detections_through_the_job(job, real_data, tmp_path, record):
    """Row d of the specification: THUMOS14's rule, 11 points, 210 videos."""
    folder = real_data / "thumos14"
    flags = ("--evaluator", "thumos14", "--ap", "11point", "--exclude", "video_test_0000270", "video_test_0001496")
    files = ("--detections", folder / "results.json", "--annotations", folder / "annotation")
    meta = ("--meta", folder / "test_set_final.mat")
    assert job(*files, *meta, *flags, "--out", tmp_path / "out", "--resamples", 0) == 0
    (result,) = record()["results"]
    expected = [0.485400, 0.432242, 0.353691, 0.273268, 0.199210, 0.123323, 0.070958, 0.031676, 0.004968]
    assert result["map"] == pytest.approx(expected, abs=1e-6)
    assert (result["videos"], result["segments"]) == (210, 3311)
    assert record()["warnings"] == [
        "video_test_0000814: 3 of 11 annotated segments end after the video",
        "video_test_0001081: 1 of 4 annotated segments end after the video",
        "results: annotated videos without detections: 1 (video_test_0000664)",
    ]
