"""Published detections of the THUMOS14 test set are worth what the specification says, under every evaluator.

The figures are those of evaluation.md, section 8: mAP over 20 classes at tIoU 0.1, 0.2, …, 0.9.
"""

from collections.abc import Iterable

import numpy as np
import pytest

from attn.datasets import activitynet, thumos14
from attn.datasets.segments import Detection, GroundTruth, Segment
from attn.eval.detection import match
from attn.eval.detection_matching import Detections, Segments

TIOUS = [i / 10 for i in range(1, 10)]
MISANNOTATED = {"video_test_0000270", "video_test_0001496"}

B = (0.521706, 0.442438, 0.346982, 0.260620, 0.177048, 0.100886, 0.049884, 0.013361, 0.000981)
C = (0.465687, 0.402860, 0.324523, 0.250362, 0.171563, 0.097312, 0.047556, 0.012638, 0.000900)
D = (0.485400, 0.432242, 0.353691, 0.273268, 0.199210, 0.123323, 0.070958, 0.031676, 0.004968)
E = (0.479718, 0.427285, 0.349996, 0.269341, 0.196058, 0.120559, 0.070157, 0.031608, 0.004968)
F = (0.449878, 0.388515, 0.312582, 0.240926, 0.165099, 0.094020, 0.046409, 0.012262, 0.000874)
G = (0.514931, 0.436614, 0.341752, 0.256097, 0.173365, 0.098372, 0.048397, 0.012897, 0.000943)
H = (0.514358, 0.435558, 0.341204, 0.255143, 0.173181, 0.098038, 0.047556, 0.012638, 0.000900)
OFFICIAL_ACTIVITYNET = (0.521223, 0.441963, 0.346982, 0.260620, 0.177048, 0.100886, 0.049884, 0.013361, 0.000981)
TOOLKIT_OF_A_USER = (0.465688, 0.402861, 0.324524, 0.250325, 0.171563, 0.097312, 0.047556, 0.012638, 0.000900)
TOOLKIT_OF_THE_OWNER = (0.483, 0.431, 0.354, 0.273, 0.199, 0.123, 0.071, 0.032, 0.005)


class Published:
    """Detections and both annotations, as arrays with common indices."""

    def __init__(self, folder: str):
        self.annotation = thumos14.read_annotation(f"{folder}/annotation")
        self.json = activitynet.read_ground_truth(f"{folder}/gt.json")
        self.results = activitynet.read_results(f"{folder}/results.json")
        self.classes = {name: i for i, name in enumerate(self.annotation.class_names)}
        videos = self.annotation.video_ids | self.json.video_ids | {one.video_id for one in self.results}
        self.videos = {name: i for i, name in enumerate(sorted(videos))}

    def columns(self, rows: Iterable[Segment | Detection]) -> list[np.ndarray]:
        columns = [*zip(*((self.videos[row[0]], self.classes.get(row[1], 0), *row[2:]) for row in rows), strict=True)]
        return [np.array(column, int if i < 2 else float) for i, column in enumerate(columns)]

    def maps(self, evaluator, kind, *, truth: GroundTruth, ambiguous=True, without=frozenset(), detections=None):
        segments = [one for one in truth.segments if one.video_id not in without]
        rows = Detections(*self.columns(self.results)) if detections is None else detections
        unsure = Segments(*self.columns(self.annotation.ambiguous)) if ambiguous else None
        found = match(
            rows,
            Segments(*self.columns(segments)),
            evaluator=evaluator,
            tious=TIOUS,
            num_classes=20,
            ambiguous=unsure,
        )
        return found.mean_average_precisions(kind)


@pytest.fixture(scope="module")
def published(real_data):
    folder = real_data / "thumos14"
    if not folder.is_dir():
        pytest.skip("THUMOS14's files are not present")
    return Published(str(folder))


def test_activitynet_on_210_videos(published):
    ours = published.maps("activitynet", "interpolated", truth=published.json)
    np.testing.assert_allclose(ours, B, atol=1e-6)
    np.testing.assert_allclose(ours[:4], OFFICIAL_ACTIVITYNET[:4], atol=8e-4)
    np.testing.assert_allclose(ours[4:], OFFICIAL_ACTIVITYNET[4:], atol=1e-6)


def test_thumos14_on_212_videos(published):
    ours = published.maps("thumos14", "noninterpolated", truth=published.annotation)
    np.testing.assert_allclose(ours, C, atol=1e-6)
    others = [i for i in range(9) if i != 3]
    np.testing.assert_allclose(ours[others], np.array(TOOLKIT_OF_A_USER)[others], atol=2e-6)
    assert ours[3] == pytest.approx(TOOLKIT_OF_A_USER[3], abs=4e-5)


def test_thumos14_with_11_points_on_210_videos(published):
    ours = published.maps("thumos14", "11point", truth=published.annotation, without=MISANNOTATED)
    np.testing.assert_allclose(ours, D, atol=1e-6)
    np.testing.assert_allclose(ours[2:], TOOLKIT_OF_THE_OWNER[2:], atol=5e-4)


@pytest.mark.parametrize(
    ("evaluator", "kind", "ambiguous", "expected"),
    [
        ("thumos14", "11point", True, E),
        ("thumos14", "noninterpolated", False, F),
        ("activitynet", "interpolated", True, G),
        ("wtalc", "noninterpolated", True, H),
    ],
)
def test_other_rows_on_212_videos(published, evaluator, kind, ambiguous, expected):
    ours = published.maps(evaluator, kind, truth=published.annotation, ambiguous=ambiguous)
    np.testing.assert_allclose(ours, expected, atol=1e-6)


@pytest.mark.parametrize(("evaluator", "expected"), [("activitynet", 1), ("thumos14", 1), ("wtalc", 0.99783)])
def test_ground_truth_as_detections(published, evaluator, expected):
    truth = published.columns(published.annotation.segments)
    scores = np.random.default_rng(0).permutation(len(truth[0])).astype(float)
    ours = published.maps(
        evaluator, "noninterpolated", truth=published.annotation, detections=Detections(*truth, scores)
    )
    np.testing.assert_allclose(ours, expected, atol=5e-6 if expected != 1 else 0)
