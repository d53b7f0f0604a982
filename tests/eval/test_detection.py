"""The three rules by hand and against plain loops; ties, Ambiguous segments, bootstrap draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn.eval.detection import match
from attn.eval.detection_matching import Detections, Segments
from attn.eval.detection_rules import RULES
from attn.eval.metrics import AP_KINDS
from attn.eval.temporal import Spans, non_maximum_suppression
from tests.eval import plain_detection

EVALUATORS = tuple(RULES)
TIOUS = (0.1, 0.3, 0.5, 0.7, 0.9)


def arrays(rows, kind):
    columns = [*zip(*rows, strict=True)] if rows else [()] * (5 if kind is Detections else 4)
    return kind(*(np.array(column, int if i < 2 else float) for i, column in enumerate(columns)))


def matches(detections, truth, evaluator, *, ambiguous=(), tious=TIOUS, num_classes=3, **given):
    return match(
        arrays(detections, Detections),
        arrays(truth, Segments),
        evaluator=evaluator,
        tious=tious,
        num_classes=num_classes,
        ambiguous=arrays(ambiguous, Segments),
        **given,
    )


def maps(detections, truth, evaluator, kind="noninterpolated", **given):
    return matches(detections, truth, evaluator, **given).mean_average_precisions(kind).tolist()


def right(detections, truth, evaluator, threshold, **given):
    """Scores of the right detections."""
    found = matches(detections, truth, evaluator, tious=(threshold,), **given)
    in_order = sorted(detections, key=lambda one: (one[1], -one[4]))
    return [in_order[i][4] for i in found.right[1]]


TRUTH = [(0, 0, 0, 10), (0, 0, 12, 20), (1, 1, 0, 10)]


@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize("kind", AP_KINDS)
def test_perfect_detections_are_worth_1_below_a_threshold_of_1(evaluator, kind):
    perfect = [(*one, score) for score, one in enumerate(TRUTH)]
    assert maps(perfect, TRUTH, evaluator, kind) == [1.0] * len(TIOUS)
    assert maps(perfect, TRUTH, evaluator, kind, tious=(1.0,)) == [0.0 if evaluator == "thumos14" else 1.0]


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_a_second_detection_of_a_segment_is_wrong(evaluator):
    detections = [(0, 0, 0, 10, 2), (0, 0, 0, 10, 3), (0, 0, 12, 20, 1)]
    assert right(detections, TRUTH[:2], evaluator, 0.5) == [3, 1]
    # precision 1 at the first, 2/3 at the third
    assert maps(detections, TRUTH[:2], evaluator, tious=(0.5,)) == [pytest.approx((1 + 2 / 3) / 2)]


@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize("kind", AP_KINDS)
def test_no_detections_are_worth_0(evaluator, kind):
    assert maps([], TRUTH, evaluator, kind) == [0.0] * len(TIOUS)


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_a_class_without_detections_is_worth_0_and_one_without_segments_is_left_out(evaluator):
    found = matches([(0, 0, 0, 10, 1), (0, 2, 0, 10, 1)], [TRUTH[0], TRUTH[2]], evaluator, tious=(0.5,))
    np.testing.assert_array_equal(found.average_precisions("interpolated"), [[1, 0, np.nan]])
    assert found.mean_average_precisions("interpolated").tolist() == [0.5]


@pytest.mark.parametrize(("evaluator", "counts"), [("activitynet", True), ("thumos14", False), ("wtalc", True)])
def test_a_tiou_of_exactly_the_threshold(evaluator, counts):
    assert bool(right([(0, 0, 0, 5, 1)], TRUTH[:1], evaluator, 0.5)) is counts


@pytest.mark.parametrize(("evaluator", "expected"), [("activitynet", [0.5]), ("thumos14", [1.0]), ("wtalc", [1.0])])
def test_an_unmatched_detection_in_an_ambiguous_segment(evaluator, expected):
    detections = [(0, 0, 30, 40, 2), (0, 0, 0, 10, 1)]
    assert maps(detections, TRUTH[:1], evaluator, tious=(0.5,), ambiguous=[(0, 0, 39, 50)]) == expected


@pytest.mark.parametrize(("evaluator", "expected"), [("activitynet", [1.0]), ("thumos14", [1.0]), ("wtalc", [0.0])])
def test_a_matched_detection_that_overlaps_an_ambiguous_segment_is_only_lost_for_wtalc(evaluator, expected):
    detections = [(0, 0, 0, 10, 1)]
    assert maps(detections, TRUTH[:1], evaluator, tious=(0.5,), ambiguous=[(0, 0, 9, 50)]) == expected


def test_an_ambiguous_segment_of_another_video_or_one_that_only_touches_changes_nothing():
    detections = [(0, 0, 30, 40, 2), (0, 0, 0, 10, 1)]
    for ambiguous in ([(1, 0, 30, 40)], [(0, 0, 40, 50)], [(0, 0, 20, 30)]):
        assert maps(detections, TRUTH[:1], "thumos14", tious=(0.5,), ambiguous=ambiguous) == [0.5]


def test_a_taken_best_segment_leaves_the_next_best():
    """ActivityNet's rule: the second detection fits the first segment better, but takes the second one."""
    truth = [(0, 0, 0, 10), (0, 0, 4, 12)]
    detections = [(0, 0, 0, 10, 2), (0, 0, 0, 11, 1)]
    assert right(detections, truth, "activitynet", 0.5) == [2, 1]
    # tIoU 10/11 with the first segment, 7/12 with the second
    assert right(detections, truth, "activitynet", 0.6) == [2]


def test_the_rules_differ_in_who_chooses():
    """The confident detection fits the second segment best, with a tIoU of 1/2, and the first one with 1/3."""
    truth = [(0, 0, 0, 10), (0, 0, 10, 20)]
    detections = [(0, 0, 4, 18, 2), (0, 0, 11, 20, 1)]
    assert right(detections, truth, "activitynet", 0.3) == [2]  # it takes the second, which the other one needs
    assert right(detections, truth, "thumos14", 0.3) == [2, 1]  # the second segment prefers the other one
    assert right(detections, truth, "wtalc", 0.3) == [2, 1]  # it takes the first of the list
    assert right(detections, truth[::-1], "wtalc", 0.3) == [2]


def test_wtalc_takes_the_first_segment_of_the_list_even_if_another_fits_better():
    truth = [(0, 0, 0, 10), (0, 0, 2, 12)]
    detections = [(0, 0, 2, 12, 2), (0, 0, 0, 10, 1)]
    assert right(detections, truth, "wtalc", 0.5) == [2, 1]
    assert right(detections, truth, "wtalc", 0.7) == [2, 1]
    assert right([(0, 0, 2, 12, 2), (0, 0, 0, 7, 1)], truth, "wtalc", 0.6) == [2]  # 0.7 with the first, which is taken
    assert right([(0, 0, 2, 12, 2), (0, 0, 0, 7, 1)], truth, "activitynet", 0.6) == [2, 1]


def test_equal_scores_stay_in_file_order():
    detections = [(0, 0, 30, 40, 1), (0, 0, 0, 10, 1)]
    assert maps(detections, TRUTH[:1], "activitynet", tious=(0.5,)) == [0.5]
    assert maps(detections[::-1], TRUTH[:1], "activitynet", tious=(0.5,)) == [1.0]


def test_equal_tious_stay_in_file_order():
    """One long detection over two equal segments takes the first; the next one fits only the first."""
    truth = [(0, 0, 0, 4), (0, 0, 6, 10)]
    detections = [(0, 0, 0, 10, 2), (0, 0, 0, 3, 1)]
    assert right(detections, truth, "activitynet", 0.4) == [2]
    assert right(detections, truth[::-1], "activitynet", 0.4) == [2, 1]


@pytest.mark.parametrize(("evaluator", "expected"), [("activitynet", 0.5), ("thumos14", 0.5), ("wtalc", 1.0)])
def test_detections_of_a_video_without_ground_truth(evaluator, expected):
    detections = [(7, 0, 0, 10, 2), (0, 0, 0, 10, 1)]
    assert maps(detections, TRUTH[:1], evaluator, tious=(0.5,)) == [expected]


def test_steps_of_wtalc():
    """Times are rounded to steps of a second, and a detection of one step is left out."""
    truth = [(0, 0, 0, 10.4)]
    assert maps([(0, 0, 0, 9.6, 1)], truth, "wtalc", tious=(1.0,), step_s=1.0) == [1.0]
    assert maps([(0, 0, 0, 9.6, 1)], truth, "wtalc", tious=(1.0,)) == [0.0]
    found = matches([(0, 0, 0, 10, 1), (0, 0, 20, 21.4, 2)], truth, "wtalc", tious=(0.5,), step_s=1.0)
    assert found.mean_average_precisions("noninterpolated").tolist() == [1.0]
    assert found.removed == 1


segment = st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 12), st.integers(1, 8))
truths = st.lists(segment.map(lambda one: (one[0], one[1], one[2], one[2] + one[3])), min_size=1, max_size=12)
unsure = st.lists(segment.map(lambda one: (one[0], 0, one[2], one[2] + one[3])), max_size=2)
found = st.lists(
    st.tuples(segment, st.integers(0, 3)).map(
        lambda one: (one[0][0] + (one[0][2] == 0), one[0][1], one[0][2], one[0][2] + one[0][3], one[1])
    ),
    max_size=20,
)


@given(found, truths, unsure, st.sampled_from(EVALUATORS), st.sampled_from(AP_KINDS))
def test_figures_are_those_of_the_plain_loops(detections, truth, ambiguous, evaluator, kind):
    """Whole seconds and few scores, so that ties of both occur everywhere, and tIoUs equal to thresholds."""
    thresholds = (0.25, 0.5, 0.75)
    expected = [plain_detection.mean_ap(evaluator, detections, truth, ambiguous, one, kind) for one in thresholds]
    ours = maps(detections, truth, evaluator, kind, ambiguous=ambiguous, tious=thresholds)
    assert ours == pytest.approx(expected, abs=1e-12)


def scene(seed, num_videos=12, num=150):
    """Random detections around random segments of two classes."""
    rng = np.random.default_rng(seed)

    def rows(count, length):
        start = rng.uniform(0, 60, count)
        return (
            rng.integers(num_videos, size=count),
            rng.integers(2, size=count),
            start,
            start + rng.gamma(2, length, count),
        )

    return Detections(*rows(num, 4), rng.normal(size=num)), Segments(*rows(70, 4)), Segments(*rows(4, 3))


def of_scene(detections, truth, ambiguous, evaluator, tious=TIOUS):
    return match(detections, truth, evaluator=evaluator, tious=tious, num_classes=2, ambiguous=ambiguous)


@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize("kind", AP_KINDS)
def test_a_random_scene_is_worth_what_the_plain_loops_say(evaluator, kind):
    for seed in range(3):
        detections, truth, ambiguous = scene(seed)
        rows = [[*zip(*one, strict=True)] for one in (detections, truth, ambiguous)]
        expected = [plain_detection.mean_ap(evaluator, *rows, one, kind) for one in TIOUS]
        ours = of_scene(detections, truth, ambiguous, evaluator).mean_average_precisions(kind)
        assert 0 < ours[2] < ours[0] < 1
        np.testing.assert_allclose(ours, expected, atol=1e-12)


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_only_the_order_of_the_scores_counts(evaluator):
    detections, truth, ambiguous = scene(0)
    stretched = detections._replace(score=np.exp(3 * detections.score) - 100)
    plain, other = (of_scene(one, truth, ambiguous, evaluator) for one in (detections, stretched))
    np.testing.assert_array_equal(plain.average_precisions("interpolated"), other.average_precisions("interpolated"))


@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize("kind", AP_KINDS)
def test_a_bootstrap_draw_is_an_evaluation_of_the_drawn_videos(evaluator, kind):
    """A video drawn twice counts as two videos, whose equal scores rank next to each other."""
    detections, truth, ambiguous = scene(1)
    whole = of_scene(detections, truth, ambiguous, evaluator)
    rng = np.random.default_rng(0)
    for _ in range(5):
        drawn = rng.integers(12, size=12)
        copies = [
            [
                one.take(one.video == video)._replace(video=np.full((one.video == video).sum(), i))
                for i, video in enumerate(drawn)
            ]
            for one in (detections, truth, ambiguous)
        ]
        joined = [type(some[0])(*map(np.concatenate, zip(*some, strict=True))) for some in copies]
        expected = of_scene(*joined, evaluator).average_precisions(kind)
        np.testing.assert_allclose(whole.average_precisions(kind, drawn), expected, atol=1e-12)
    np.testing.assert_array_equal(whole.average_precisions(kind, np.arange(12)), whole.average_precisions(kind))


def test_a_long_chain_of_refusals_is_resolved():
    """Each detection prefers the segment that the one before it takes, so refusals follow each other."""
    count = 200
    truth = [(0, 0, i, i + 10) for i in range(count)]
    detections = [(0, 0, max(i - 0.4, 0), max(i - 0.4, 0) + 10, count - i) for i in range(count)]
    expected = [plain_detection.mean_ap("wtalc", detections, truth, [], 0.5, "noninterpolated")]
    assert maps(detections, truth, "wtalc", tious=(0.5,)) == pytest.approx(expected)


def test_suppression_raises_the_precision_of_doubled_detections():
    doubled = [(0, 0, 0, 10, 3), (0, 0, 1, 10, 2), (0, 0, 12, 20, 1)]
    rows = arrays(doubled, Detections)
    kept = rows.take(non_maximum_suppression(Spans(rows.video, rows.start_s, rows.end_s), rows.score, tiou=0.5))
    truth = arrays(TRUTH[:2], Segments)
    before, after = (
        match(one, truth, evaluator="thumos14", tious=(0.5,), num_classes=1).mean_average_precisions("noninterpolated")
        for one in (rows, kept)
    )
    assert after.tolist() == [1.0]
    assert before[0] < 1
