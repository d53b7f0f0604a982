"""Numbers that are none, found wherever they stand and whatever the width."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn.errors import UsageError
from attn.stages.finite import check_finite

FRAMES = np.arange(0, 20, 5, dtype=np.int32)
DTYPES = [np.float16, np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("others", [0.0, -1.0, 65504.0])
@pytest.mark.parametrize("position", [0, 2, 3])
def test_the_first_frame_with_one_is_named(dtype, number, others, position):
    values = np.full((4, 3, 2), others, dtype)
    values[position:, 1, 1] = number
    said = rf"store: maps of v, frame {5 * position}, contain NaN or infinity\. Precompute the store again\."
    with pytest.raises(UsageError, match=f"^{said}$"):
        check_finite("store", "v", FRAMES, "maps", values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_numbers_and_no_frames_pass(dtype):
    largest = np.finfo(dtype).max
    check_finite("store", "v", FRAMES, "maps", np.array([largest, -largest, -0.0, np.finfo(dtype).tiny], dtype))
    check_finite("store", "v", FRAMES[:0], "maps", np.zeros((0, 3), dtype))


@given(st.lists(st.integers(0, 0xFFFF), min_size=4, max_size=4))
def test_all_bit_patterns_of_half_floats_are_told_as_numpy_tells_them(bits):
    values = np.array(bits, np.uint16).view(np.float16)
    finite = np.isfinite(values)
    if finite.all():
        check_finite("store", "v", FRAMES, "maps", values)
    else:
        with pytest.raises(UsageError, match=f"frame {5 * int(np.argmin(finite))},"):
            check_finite("store", "v", FRAMES, "maps", values)
