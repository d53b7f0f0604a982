"""DIS and TV-L1 find known motion, and nothing where nothing moves."""

from collections.abc import Callable

import numpy as np
import pytest

from attn.stages.flow.compute import Estimator
from attn.stages.flow.dis import Dis
from attn.stages.flow.quantise import quantised
from attn.stages.flow.tvl1 import TvL1
from tests.stages.flow.conftest import moved

INSIDE = np.s_[..., 8:-8, 8:-8]
OPEN: dict[str, Callable[[], Estimator]] = {"dis": Dis, "tvl1": TvL1}


@pytest.fixture(params=OPEN)
def estimate(request) -> Estimator:
    if request.param == "dis":
        pytest.importorskip("cv2")
    return OPEN[request.param]()


def end_point_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(((found - expected) ** 2).sum(1)).mean())


def test_a_translation_is_found_to_a_twentieth_of_a_pixel(estimate: Estimator, translations) -> None:
    pairs, flow = translations
    found = estimate(pairs)
    assert (found.shape, found.dtype) == ((4, 2, 64, 64), np.float32)
    for one, expected in zip(found[INSIDE], flow, strict=True):
        assert end_point_error(one[None], expected[None, :, None, None]) < 0.05


def test_motion_beyond_the_reach_of_one_level_is_found(estimate: Estimator) -> None:
    found = estimate(moved(4, -3, size=128)[None])[..., 16:-16, 16:-16]
    assert end_point_error(found, np.float32([4, -3])[None, :, None, None]) < 0.05


def test_still_and_constant_images_have_exactly_no_flow(estimate: Estimator, translations) -> None:
    still = estimate(translations[0][:1, [0, 0]])
    assert np.abs(still).max() < 1e-3
    assert not quantised(still, 20).any()
    constant = np.full((1, 2, 32, 32, 3), 77, np.uint8)
    constant[:, 1] = 90
    found = estimate(constant)
    assert np.isfinite(found).all()
    assert not found.any()


def test_a_mirrored_pair_has_the_mirrored_flow_with_the_first_component_negated(
    estimate: Estimator, translations
) -> None:
    pairs = translations[0]
    mirrored = estimate(np.ascontiguousarray(pairs[..., ::-1, :]))[..., ::-1]
    assert end_point_error((mirrored * np.array([-1, 1])[:, None, None])[INSIDE], estimate(pairs)[INSIDE]) < 0.05


def test_the_flow_of_a_pair_does_not_depend_on_its_batch(estimate: Estimator, translations) -> None:
    pairs = translations[0]
    together = estimate(pairs)
    for pair, flow in zip(pairs, together, strict=True):
        np.testing.assert_allclose(estimate(pair[None])[0], flow, atol=1e-3)
    np.testing.assert_array_equal(estimate(pairs[::-1].copy())[::-1], together)


def test_frames_that_are_smaller_than_the_scales_of_dis_do_not_depend_on_those_before_them() -> None:
    """One object of OpenCV that is used for several pairs chooses other scales after the first."""
    pytest.importorskip("cv2")
    random = np.random.default_rng(0)
    pairs = random.integers(0, 256, (3, 2, 40, 40, 3), np.uint8)
    np.testing.assert_array_equal(Dis()(pairs)[2], Dis()(pairs[2:])[0])


def test_tv_l1_equals_opencvs_on_real_frames(real_pairs: np.ndarray) -> None:
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, "optflow"):
        pytest.skip("OpenCV without its contributed modules")
    oracle = cv2.optflow.DualTVL1OpticalFlow_create()
    grey = [[cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in pair] for pair in real_pairs]
    expected = np.stack([oracle.calc(first, second, None) for first, second in grey]).transpose(0, 3, 1, 2)
    assert np.sqrt((expected**2).sum(1)).mean() > 0.3, "the frames move"
    assert end_point_error(TvL1()(real_pairs), expected) < 0.1
