"""Flow as 8-bit integers: zero is exact, and the error is bounded."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attn.stages.flow.quantise import flow_px, quantised


@given(st.lists(st.floats(-20, 20, width=32), min_size=1), st.sampled_from([20.0, 8.5]))
def test_the_error_is_at_most_half_a_level(flow, bound) -> None:
    clipped = np.clip(np.array(flow, np.float32), -bound, bound)
    back = flow_px(quantised(np.array(flow, np.float32), bound), bound)
    assert np.abs(back - clipped).max() <= bound / 254 + 1e-5


def test_zero_and_the_bound_are_exact_and_larger_flow_is_clipped() -> None:
    values = quantised(np.array([0, -20, 20, -400, 400, 0.05], np.float32), 20)
    assert values.dtype == np.int8
    np.testing.assert_array_equal(values, [0, -127, 127, -127, 127, 0])
    np.testing.assert_array_equal(flow_px(values, 20)[:3], np.float32([0, -20, 20]))
    np.testing.assert_array_equal(flow_px(torch.from_numpy(values), 20).numpy(), flow_px(values, 20))


def test_a_negated_flow_has_negated_integers() -> None:
    flow = np.linspace(-25, 25, 1001, dtype=np.float32)
    np.testing.assert_array_equal(quantised(-flow, 20), -quantised(flow, 20))


def test_flow_that_is_no_number_is_refused() -> None:
    with pytest.raises(FloatingPointError, match="NaN or infinity"):
        quantised(np.array([0, np.nan], np.float32), 20)
