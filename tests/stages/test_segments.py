"""Segments of planted attention."""

import numpy as np
import pytest

from attn.stages.segments import SegmentRule, Stream, runs
from attn.stages.time_samples import perturbed_samples, uniform_samples


def plateau(samples=40, start=10, stop=20, scores=(0.8, 0.05, 0.15)):
    weights = np.full(samples, 1.0)
    weights[start:stop] = 5.0
    return Stream(np.array(scores), weights / weights.sum())


EDGES_S = np.arange(41) / 30


def test_one_plateau_is_one_segment_with_exact_times():
    first, second = SegmentRule().segments([plateau()], EDGES_S)
    assert (first.cls, first.start_s, first.end_s) == (0, pytest.approx(10 / 30), pytest.approx(20 / 30))
    assert first.score == pytest.approx(0.8 + 0.2 * 0.8)
    assert (second.cls, second.score) == (2, pytest.approx(0.15 * 1.2))


def test_a_plateau_at_the_end_lasts_to_the_end_of_the_video():
    found = SegmentRule().segments([plateau(start=0, stop=40)], EDGES_S)
    assert [(one.start_s, one.end_s) for one in found] == [(0, pytest.approx(40 / 30))] * 2


def test_scores_do_not_depend_on_the_number_of_samples():
    weights = np.random.default_rng(0).random(40) + 0.1
    once = Stream(np.array([0.9]), weights / weights.sum())
    twice = Stream(np.array([0.9]), np.repeat(weights, 2) / weights.sum() / 2)
    rule = SegmentRule()
    few, many = (
        rule.segments([once], EDGES_S),
        rule.segments([twice], np.append(np.repeat(EDGES_S[:-1], 2), EDGES_S[-1])),
    )
    assert len(few) == len(many) > 3
    for one, other in zip(few, many, strict=True):
        assert (one.start_s, one.end_s) == (other.start_s, other.end_s)
        assert one.score == pytest.approx(other.score, abs=1e-9)


def test_theta_weighs_the_streams():
    rgb, flow = plateau(), plateau(start=25, stop=35, scores=(0.2, 0.7, 0.1))
    assert SegmentRule(theta=1).segments([rgb, flow], EDGES_S) == SegmentRule().segments([rgb], EDGES_S)
    assert SegmentRule(theta=0).segments([rgb, flow], EDGES_S) == SegmentRule().segments([flow], EDGES_S)
    rule = SegmentRule(theta=0.25)
    assert rule.fused_scores([rgb, flow]).tolist() == pytest.approx([0.35, 0.5375, 0.1125])
    fused = 0.25 * 0.8 * rgb.attention + 0.75 * 0.2 * flow.attention
    spans = [(one.start_s, one.end_s) for one in rule.segments([rgb, flow], EDGES_S) if one.cls == 0]
    expected = [(EDGES_S[i], EDGES_S[j]) for i, j in runs(fused > 0.5 * fused.max())]
    assert spans == expected
    assert len(expected) == 2


def test_streams_on_their_own_keep_the_better_of_two_that_overlap():
    rgb, flow = plateau(), plateau(start=11, stop=20, scores=(0.6, 0.3, 0.1))
    found = SegmentRule(per_stream=True).segments([rgb, flow], EDGES_S)
    assert [(one.cls, round(one.start_s * 30), round(one.end_s * 30)) for one in found] == [
        (0, 10, 20),
        (1, 11, 20),
        (2, 10, 20),
    ]
    faint = plateau(start=11, stop=20, scores=(0.6, 0.3, 0.0))
    # Fused, the third class has 0.075.
    assert {one.cls for one in SegmentRule(per_stream=True).segments([rgb, faint], EDGES_S)} == {0, 1}
    assert found[0].score == pytest.approx(0.8 * 1.2)


def test_smoothing_looks_one_sample_ahead():
    found = SegmentRule(smoothing="next").segments([plateau()], EDGES_S)
    assert (found[0].start_s, found[0].end_s) == (pytest.approx(9 / 30), pytest.approx(20 / 30))
    assert found[0].score == pytest.approx(0.8 * (9 * 5 + 2 * 3) / 11 / 5 + 0.2 * 0.8, abs=0.02)


def test_density_is_the_mean_weight_times_the_number_of_samples():
    stream = plateau()
    found = SegmentRule(score="density").segments([stream], EDGES_S)[0]
    assert found.score == pytest.approx(40 * 0.8 * stream.attention[10] + 0.2 * 0.8)


def test_flat_or_improbable_classes_have_no_segments():
    assert SegmentRule().segments([Stream(np.array([0.1, 0.9]), np.zeros(40))], EDGES_S) == []
    assert [one.cls for one in SegmentRule().segments([plateau(scores=(0.1, 0.9, 0))], EDGES_S)] == [1]


def test_samples_are_a_uniform_grid():
    assert uniform_samples(10, 4).tolist() == [0, 2, 5, 7]
    assert uniform_samples(2, 5).tolist() == [0, 0, 0, 1, 1]
    assert uniform_samples(3, "all").tolist() == [0, 1, 2]


@pytest.mark.parametrize("num_frames", [3, 40, 401, 5000])
def test_perturbed_samples_stay_in_their_cells_and_reach_all_of_them(num_frames):
    rng, edges = np.random.default_rng(0), np.arange(401) * num_frames // 400
    drawn = np.stack([perturbed_samples(num_frames, 400, rng) for _ in range(300)])
    assert (drawn >= edges[:-1]).all()
    assert (drawn < np.maximum(edges[1:], edges[:-1] + 1)).all()
    assert (np.diff(drawn, axis=1) >= 0).all()
    if num_frames == 5000:
        assert {*np.unique(drawn)} == {*range(5000)}
