import math

import numpy as np
import pytest

from attn.eval.localisation import attention_share, box_coverage, localisation, map_box


def rastered_coverage(box, source_shape, map_shape, fine=400):
    """Samples the centred square at fine × fine points and counts those inside the box, cell by cell."""
    (rows, cols), (map_rows, map_cols) = source_shape, map_shape
    side = min(rows, cols)
    at = (np.arange(fine) + 0.5) / fine
    x, y = (cols - side) / 2 + at * side, (rows - side) / 2 + at * side
    inside = ((y >= box[1]) & (y < box[3]))[:, None] & ((x >= box[0]) & (x < box[2]))[None, :]
    covered = np.zeros(map_shape)
    for i in range(map_rows):
        for j in range(map_cols):
            in_cell = np.ix_((at * map_rows).astype(int) == i, (at * map_cols).astype(int) == j)
            covered[i, j] = inside[in_cell].mean()
    return covered


@pytest.mark.parametrize("source_shape", [(240, 320), (320, 240), (100, 100), (90, 401)])
@pytest.mark.parametrize("map_shape", [(7, 7), (14, 14), (5, 8)])
def test_coverage_equals_a_fine_raster(source_shape, map_shape):
    rng = np.random.default_rng(0)
    rows, cols = source_shape
    for _ in range(8):
        x, y = np.sort(rng.uniform(-20, cols + 20, 2)), np.sort(rng.uniform(-20, rows + 20, 2))
        box = np.array([x[0], y[0], x[1], y[1]])
        found = box_coverage(box, source_shape=source_shape, map_shape=map_shape)
        np.testing.assert_allclose(found, rastered_coverage(box, source_shape, map_shape), atol=0.06)
        assert found.mean() == pytest.approx(rastered_coverage(box, source_shape, map_shape).mean(), abs=0.01)


def test_share_equals_a_fine_raster():
    rng = np.random.default_rng(1)
    attention = rng.random((7, 7))
    box = np.array([61.0, 33.0, 187.0, 201.0])
    raster = rastered_coverage(box, (240, 320), (7, 7), fine=1400)
    found = attention_share(attention, box_coverage(box, source_shape=(240, 320), map_shape=(7, 7)))
    assert found == pytest.approx((attention * raster).sum() / attention.sum(), abs=2e-3)


def test_coverage_by_hand():
    # The centred square of 240×320 spans columns 40 to 280; a 2×2 map has cells of 120 pixels.
    found = box_coverage(np.array([100.0, 0.0, 220.0, 60.0]), source_shape=(240, 320), map_shape=(2, 2))
    assert found.tolist() == [[0.25, 0.25], [0.0, 0.0]]


def test_the_centred_square_becomes_the_whole_map():
    box = np.array([40.0, 0.0, 280.0, 240.0])
    assert map_box(box, source_shape=(240, 320), map_shape=(7, 9)).tolist() == [0, 0, 9, 7]


def test_whole_frame_covers_every_cell_and_the_margin_none():
    def coverage(box):
        return box_coverage(np.array(box), source_shape=(240, 320), map_shape=(7, 7))

    assert (coverage([0.0, 0.0, 320.0, 240.0]) == 1).all()
    assert (coverage([0.0, 0.0, 39.0, 240.0]) == 0).all()


def test_shares_of_a_box_and_of_the_rest_add_up_to_one():
    attention = np.random.default_rng(2).random((14, 14))
    left = box_coverage(np.array([0.0, 0.0, 137.0, 240.0]), source_shape=(240, 320), map_shape=(14, 14))
    right = box_coverage(np.array([137.0, 0.0, 320.0, 240.0]), source_shape=(240, 320), map_shape=(14, 14))
    assert attention_share(attention, left) + attention_share(attention, right) == pytest.approx(1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_share_ignores_the_scale_in_every_dtype(dtype):
    maps = np.random.default_rng(3).integers(0, 9, size=(5, 7, 7)).astype(dtype)
    coverage = np.random.default_rng(4).random((5, 7, 7))
    assert attention_share(maps, coverage).shape == (5,)
    np.testing.assert_allclose(
        attention_share(maps * dtype(0.5), coverage), attention_share(maps, coverage), rtol=1e-12
    )


def test_flat_attention_is_chance():
    boxes = np.array([[50.0, 20.0, 90.0, 200.0], [130.0, 100.0, 300.0, 230.0]])
    coverage = box_coverage(boxes, source_shape=(240, 320), map_shape=(7, 7))
    found = localisation(np.full((2, 7, 7), 0.3), coverage)
    assert found.ratio == pytest.approx(1)
    assert found.share == pytest.approx(found.chance)
    assert (found.num_frames, found.num_left_out) == (2, 0)


def test_frames_without_attention_or_without_box_are_left_out():
    maps = np.stack([np.zeros((2, 2)), np.ones((2, 2)), np.array([[0.0, 0.0], [3.0, 1.0]])])
    coverage = np.stack([np.ones((2, 2)), np.zeros((2, 2)), np.array([[0.0, 0.0], [1.0, 0.0]])])
    assert localisation(maps, coverage) == (0.75, 0.25, 3.0, 1, 2)


def test_every_frame_counts_alike_however_small_its_box() -> None:
    maps = np.array([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
    coverage = np.array([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]]])
    assert localisation(maps, coverage) == (0.75, 0.375, (4 + 1) / 2, 2, 0)


def test_nothing_to_average_is_not_a_number():
    found = localisation(np.zeros((3, 2, 2)), np.ones((3, 2, 2)))
    assert math.isnan(found.ratio)
    assert (found.num_frames, found.num_left_out) == (0, 3)


def test_a_box_with_swapped_corners_is_an_error():
    with pytest.raises(ValueError, match="left ≤ right"):
        map_box(np.array([9.0, 0.0, 3.0, 5.0]), source_shape=(10, 10), map_shape=(2, 2))
