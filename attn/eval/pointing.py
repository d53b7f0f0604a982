"""Localisation by a map's peak and by its brightest region, compared with boxes of the action.

The region is the largest connected part of the bilinearly enlarged map that has at least a share of its maximum. The
protocol is our own: Liu et al. 2019 report a precision of localisation without saying how it is measured.

Source: pointing game: Zhang et al. 2016, without a tolerance.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

IOU = 0.5
"""Overlap with a box from which a region counts as right."""


class Found(NamedTuple):
    """Place of the action in one frame, by its map.

    Attributes:
        pointing: 1 if the centre of the cell with the largest weight is inside a box, otherwise 0; the share of such
            cells if several have the largest weight.
        overlap: largest intersection over union of the box around the region and a box of the action.
        pixel_precision: share of the pixels of the region that are inside a box.
    """

    pointing: float
    overlap: float
    pixel_precision: float


def find(
    attention: Float[np.ndarray, "row col"],
    boxes: Float[np.ndarray, "box 4"],
    *,
    pixels: int,
    threshold: float = 0.5,
) -> Found:
    """Compare a map with the boxes of its frame.

    Args:
        attention: weights of the cells; not all are 0.
        boxes: left, top, right, bottom in cells, see `attn.eval.localisation.map_box`. Parts outside the map are cut
            off, and some part is inside.
        pixels: side of the enlarged map, in pixels.
        threshold: share of the maximum from which a pixel belongs to the region.
    """
    rows, cols = attention.shape
    inside = np.clip(boxes, 0, [cols, rows, cols, rows])
    peaks = np.argwhere(attention == attention.max())[:, ::-1] + 0.5
    mask = region(enlarged(attention, pixels), threshold)
    cells = np.array([cols, rows]) / pixels
    centres = (np.argwhere(mask)[:, ::-1] + 0.5) * cells
    return Found(
        float(_within(peaks, inside).mean()),
        float(overlaps(_around(mask) * np.tile(cells, 2), inside).max()),
        float(_within(centres, inside).mean()),
    )


def enlarged(attention: Float[np.ndarray, "row col"], pixels: int) -> Float[np.ndarray, "pixels pixels"]:
    """Enlarge a map bilinearly. The value of a cell is at its centre; outside the outer centres it is constant."""
    down, across = (_interpolation(count, pixels) for count in attention.shape)
    return down @ attention @ across.T


def region(attention: Float[np.ndarray, "row col"], threshold: float) -> Bool[np.ndarray, "row col"]:
    """Mask of the largest connected part with at least a share of the maximum; the first one of equal size.

    Args:
        attention: map that is not all 0.
        threshold: share of the maximum, 0 to 1.
    """
    # A map that is constant up to rounding is one region.
    bright = attention >= threshold * attention.max() * (1 - 1e-9)
    parts = np.zeros(bright.shape, np.int32)
    ndimage.label(bright, output=parts)
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])


def overlaps(box: Float[np.ndarray, "4"], others: Float[np.ndarray, "box 4"]) -> Float[np.ndarray, "box"]:
    """Intersection over union of a box and each of several others; 0 if both are empty."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    both = np.clip(sides, 0, None).prod(1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - both
    return np.divide(both, union, out=np.zeros(len(others)), where=union > 0)


def _interpolation(cells: int, pixels: int) -> Float[np.ndarray, "pixels cells"]:
    places = (np.arange(pixels) + 0.5) * cells / pixels - 0.5
    return np.stack([np.interp(places, np.arange(cells), row) for row in np.eye(cells)], axis=1)


def _around(mask: Bool[np.ndarray, "row col"]) -> Float[np.ndarray, "4"]:
    """Box around a mask, in pixels."""
    rows, cols = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return np.array([cols[0], rows[0], cols[-1] + 1, rows[-1] + 1], np.float64)


def _within(points: Float[np.ndarray, "point 2"], boxes: Float[np.ndarray, "box 4"]) -> Bool[np.ndarray, "point"]:
    """Whether each point (x, y) is inside a box."""
    inside = np.concatenate([points[:, None] >= boxes[:, :2], points[:, None] < boxes[:, 2:]], axis=-1)
    return np.asarray(np.asarray(inside.all(axis=-1)).any(axis=-1))
