"""Invalid input of `jobs/evaluate_detection.py`: one line, exit code 2, nothing written."""

import numpy as np
import pytest
import scipy.io

from attn.commands.evaluate_detection_inputs import parse_tious
from attn.errors import UsageError
from tests.datasets.test_thumos14_meta import video
from tests.jobs.detection_files import results_json, truth_json


@pytest.fixture
def refused(detection_job, tmp_path, capsys):
    """refused(*words): the only line of an invalid command, which must write nothing."""

    def run(*words):
        assert detection_job(*words) == 2
        assert not (tmp_path / "out").exists()
        printed = capsys.readouterr()
        assert printed.out == ""
        (line,) = printed.err.splitlines()
        assert line.startswith("error: ")
        return line

    return run


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
def test_invalid_files_are_refused(detection_files, refused, contents, message):
    assert message in refused(*detection_files(**contents))


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
def test_invalid_flags_are_refused(detection_files, refused, words, message):
    assert message in refused(*detection_files(), *words)


def test_a_meta_file_of_other_videos_is_refused(refused, detection_files, tmp_path):
    one = video("other", 7)
    records = np.array([tuple(one.values())], [(name, object) for name in one])
    scipy.io.savemat(tmp_path / "meta.mat", {"test_videos": records})
    assert "has none of the annotated videos" in refused(*detection_files(), "--meta", tmp_path / "meta.mat")


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
