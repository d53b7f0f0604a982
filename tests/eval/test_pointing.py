"""Localisation by peak and region: values by hand, a raster in slow loops, and edges."""

import numpy as np
import pytest

from attn.eval.pointing import enlarged, find, overlaps, region


def of(*boxes):
    return np.array(boxes, np.float64)


def test_a_single_bright_cell_by_hand():
    """The enlarged map falls linearly from 1 at the cell's centre; half of it is reached half a cell away."""
    attention = np.zeros((5, 5))
    attention[1, 3] = 1
    exact = find(attention, of([3, 1, 4, 2]), pixels=500)
    # A product of two falls reaches 1/2 on the axes at half a cell, so the region's box is the cell.
    assert exact.pointing == 1
    assert exact.overlap == pytest.approx(1, abs=0.03)
    assert exact.pixel_precision == 1
    double = find(attention, of([3, 1, 5, 2]), pixels=500)
    assert double.overlap == pytest.approx(0.5, abs=0.02)
    missed = find(attention, of([0, 3, 2, 5]), pixels=500)
    assert missed == (0, 0, 0)


def test_half_of_the_region_is_inside():
    attention = np.zeros((4, 4))
    attention[1:3, 1:3] = 1
    found = find(attention, of([2, 0, 4, 4]), pixels=400)
    assert found.pixel_precision == pytest.approx(0.5, abs=0.01)
    assert found.pointing == 0.5  # two of four equal peaks


def test_a_uniform_map_is_one_region_and_points_everywhere():
    for value in (1.0, 1 / 49):
        found = find(np.full((7, 7), value), of([0, 0, 7, 3.5]), pixels=70)
        assert found.pointing == pytest.approx(3 / 7)  # the centres of the fourth row are at its edge
        assert found.overlap == pytest.approx(0.5)
        assert found.pixel_precision == pytest.approx(0.5)


def test_the_best_of_several_boxes_counts_and_boxes_are_cut_at_the_edge():
    attention = np.zeros((4, 4))
    attention[0, 0] = 1
    found = find(attention, of([2, 2, 4, 4], [-9, -9, 1, 1]), pixels=400)
    # At the corner the map is constant from the centre to the edge: the region reaches half a cell beyond the centre.
    assert found.overlap == pytest.approx(1, abs=0.02)
    assert found.pointing == 1


def test_the_largest_part_is_the_region():
    attention = np.zeros((6, 9))
    attention[0, :2] = 3  # brighter, but smaller
    attention[3:5, 4:8] = 2
    attention[5, 3] = 2  # touches at a corner only
    mask = region(attention, 0.5)
    assert np.argwhere(mask).min(0).tolist() == [3, 4]
    assert mask.sum() == 8
    assert region(attention, 0.9).sum() == 2


@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (2, 7)])
def test_enlarged_maps_are_interpolated_in_slow_loops(shape):
    attention = np.random.default_rng(0).random(shape)
    found, pixels = enlarged(attention, 11), 11
    for row in range(pixels):
        for col in range(pixels):
            place = [(at + 0.5) * cells / pixels - 0.5 for at, cells in zip((row, col), shape, strict=True)]
            value = 0.0
            for i in range(shape[0]):
                for j in range(shape[1]):
                    near = [min(max(at, 0), cells - 1) for at, cells in zip(place, shape, strict=True)]
                    value += attention[i, j] * max(0, 1 - abs(near[0] - i)) * max(0, 1 - abs(near[1] - j))
            assert found[row, col] == pytest.approx(value)


def test_overlaps_by_hand():
    box = np.array([0.0, 0, 2, 2])
    assert overlaps(box, of([0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [0.5, 0.5, 1, 1])) == pytest.approx(
        [1, 1 / 3, 0, 1 / 16]
    )
    assert overlaps(np.zeros(4), of([0, 0, 0, 0])).tolist() == [0]
