"""Check 11 of the faithfulness checks, the part about the number of candidates."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn.mining.schedule import CandidateSchedule

LOSSES = st.lists(st.floats(0, 4), min_size=1, max_size=60)


def slow_monitors(losses: list[float], kept: float = 0.98) -> list[float]:
    """Each as a weighted sum of all losses so far."""
    monitors = []
    for count in range(1, len(losses) + 1):
        weights = [kept ** (count - 1)] + [(1 - kept) * kept ** (count - 1 - i) for i in range(1, count)]
        monitors.append(sum(weight * loss for weight, loss in zip(weights, losses, strict=False)))
    return monitors


def watched(losses: list[float], threshold: float) -> tuple[CandidateSchedule, list[int]]:
    """A schedule, and M of every update."""
    schedule, candidates = CandidateSchedule(128, 512, threshold), []
    for loss in losses:
        candidates.append(schedule.candidates)
        schedule.observe(loss)
    return schedule, candidates


@given(LOSSES)
def test_the_monitor_is_the_smoothed_loss(losses):
    schedule, _ = watched(losses, 1.0)
    assert schedule.monitor == pytest.approx(slow_monitors(losses)[-1], abs=1e-12)
    assert schedule.updates == len(losses)


@given(LOSSES, st.floats(0.01, 0.99))
def test_the_smoothing_can_be_chosen(losses, kept):
    schedule = CandidateSchedule(128, 512, 1.0, smoothing=kept)
    for loss in losses:
        schedule.observe(loss)
    assert schedule.monitor == pytest.approx(slow_monitors(losses, kept)[-1], abs=1e-12)


@given(LOSSES, st.floats(0.1, 4))
def test_check_11_the_candidates_switch_once_after_the_threshold(losses, threshold):
    schedule, candidates = watched(losses, threshold)
    below = [i for i, monitor in enumerate(slow_monitors(losses)) if monitor < threshold - 1e-9]
    first = below[0] + 1 if below else len(losses)
    assert candidates == [128] * len(candidates[:first]) + [512] * len(candidates[first:])
    assert schedule.switched_at == (first if below else None)


def test_check_11_a_loss_that_rises_again_does_not_switch_back():
    schedule, candidates = watched([1.0, 0.0, *[100.0] * 20, 0.0], 0.99)
    assert candidates == [128, 128, *[512] * 21]
    assert schedule.switched_at == 2


def test_at_the_threshold_nothing_switches():
    assert watched([0.25] * 5, 0.25)[0].switched_at is None


def test_one_low_loss_is_not_enough():
    assert watched([1.0, 0.0, 0.0], 0.25)[0].switched_at is None


@given(LOSSES, LOSSES)
def test_a_resumed_schedule_goes_on_as_an_unbroken_one(before, after):
    half, _ = watched(before, 1.0)
    resumed = CandidateSchedule(**json.loads(json.dumps(half.state())))
    for loss in after:
        resumed.observe(loss)
    assert resumed == watched(before + after, 1.0)[0]


def test_a_loss_that_is_not_a_number_never_switches():
    assert watched([float("nan"), 0.0, 0.0], 1.0)[0].switched_at is None
