import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn.errors import UsageError
from attn.video.sample import STAMP_TOLERANCE_S, Fps, Stride


def kept(sampling, times_s):
    keep = sampling.start()
    return [i for i, time_s in enumerate(times_s) if keep(i, time_s)]


@pytest.mark.parametrize("step", [1, 2, 5, 100])
def test_stride_keeps_multiples(step):
    assert kept(Stride(step), [0.0] * 23) == list(range(0, 23, step))


def oracle(rate, times_s):
    """For every instant, the first frame at or after it; each frame once."""
    found = []
    for k in range(math.ceil((max(times_s) + 1) * rate) + 1):
        at_or_after = [i for i, time_s in enumerate(times_s) if time_s + STAMP_TOLERANCE_S >= k / rate]
        found += at_or_after[:1]
    return sorted(set(found))


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=60),
    st.sampled_from([0.5, 1.0, 2.0, 3.0, 7.5, 10.0, 24.0, 30.0]),
)
def test_fps_keeps_the_first_frame_at_or_after_each_instant(gaps_ms, rate):
    times_s = [ms / 1000 + 1e-4 for ms in np.cumsum([0, *gaps_ms])]
    assert kept(Fps(rate), times_s) == oracle(rate, times_s)


@pytest.mark.parametrize("rate", [30.0, 30000 / 1001, 31.0, 1000.0])
def test_a_rate_at_or_above_the_sources_keeps_every_frame(rate):
    times_s = [i * 1001 / 30000 for i in range(300)]
    assert kept(Fps(rate), times_s) == list(range(300))


def test_stamps_rounded_to_the_millisecond_lose_no_frame():
    times_s = [round(i * 1001 / 30000, 3) for i in range(300)]
    assert kept(Fps(30000 / 1001), times_s) == list(range(300))


def test_a_reused_rule_starts_anew():
    sampling = Fps(1.0)
    assert kept(sampling, [0.0, 0.5, 1.0]) == kept(sampling, [0.0, 0.5, 1.0]) == [0, 2]


@pytest.mark.parametrize("make", [lambda: Stride(0), lambda: Stride(-3)])
def test_a_stride_below_one_is_refused(make):
    with pytest.raises(UsageError, match=r"--stride -?[03]: too small"):
        make()


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_that_is_not_positive_and_finite_is_refused(rate):
    with pytest.raises(UsageError, match=r"--fps .*: out of range"):
        Fps(rate)
