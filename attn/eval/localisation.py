"""Localisation: share of a map's attention inside an action's bounding box, given in source pixels.

The input of the CNN is a part of the frame, mostly its central square, so a map covers only that part. Boxes are
converted to its coordinates and clipped. Partly covered cells are counted proportionally.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float


class Localisation(NamedTuple):
    """Attention inside the boxes of several frames.

    Attributes:
        share: mean over frames of the share of a map's attention inside its box.
        chance: mean share for a uniform map, which is the covered area.
        ratio: mean over frames of share / chance; 1 is chance level.
        num_frames: number of frames included.
        num_left_out: number of frames excluded because the map is all zero or the box is outside the CNN's input.
    """

    share: float
    chance: float
    ratio: float
    num_frames: int
    num_left_out: int


def map_box(
    box: Float[np.ndarray, "*batch 4"],
    *,
    source_shape: tuple[int, int],
    map_shape: tuple[int, int],
    seen: tuple[float, float, float, float] | None = None,
) -> Float[np.ndarray, "*batch 4"]:
    """Convert a box from source pixels to map cells. Cell (i, j) spans rows i to i+1 and columns j to j+1.

    A box outside the part that the CNN sees has coordinates outside the map.

    Args:
        box: left, top, right, bottom in source pixels; edges, not pixel centres, so that right − left is the width.
        source_shape: rows and columns of a source frame as displayed. Non-square pixels are made square by scaling the
            width (`attn.video.aspect`); boxes annotated on the stored frame must be scaled in the same way.
        map_shape: rows and columns of the map.
        seen: left, top, right, bottom of the part of the frame that the CNN sees, see `Resampling.box`. Default: the
            central square.

    Raises:
        ValueError: right is less than left, or bottom is less than top.

    Differs: the crop is exactly central; in preprocessing, rounding to whole pixels may shift it by half a source
    pixel.

    Example:
        >>> map_box(np.array([80.0, 0.0, 160.0, 240.0]), source_shape=(240, 320), map_shape=(7, 7))
        array([1.16666667, 0.        , 3.5       , 7.        ])
    """
    if (box[..., 2:] < box[..., :2]).any():
        raise ValueError("a box is (left, top, right, bottom) with left ≤ right and top ≤ bottom")
    (rows, cols), (map_rows, map_cols) = source_shape, map_shape
    side = min(rows, cols)
    left, top, right, bottom = seen or ((cols - side) / 2, (rows - side) / 2, (cols + side) / 2, (rows + side) / 2)
    return (
        (box - np.array([left, top] * 2))
        / np.array([right - left, bottom - top] * 2)
        * np.array([map_cols, map_rows] * 2)
    )


def box_coverage(
    box: Float[np.ndarray, "*batch 4"],
    *,
    source_shape: tuple[int, int],
    map_shape: tuple[int, int],
    seen: tuple[float, float, float, float] | None = None,
) -> Float[np.ndarray, "*batch row col"]:
    """Share of each map cell's area inside the box, 0–1. Arguments as in `map_box`.

    Example:
        >>> box_coverage(np.array([0.0, 0.0, 60.0, 120.0]), source_shape=(120, 120), map_shape=(2, 2))
        array([[1., 0.],
               [1., 0.]])
    """
    found = map_box(box, source_shape=source_shape, map_shape=map_shape, seen=seen)
    rows = _overlap(found[..., [1, 3]], map_shape[0])
    cols = _overlap(found[..., [0, 2]], map_shape[1])
    return rows[..., :, None] * cols[..., None, :]


def attention_share(
    maps: Float[np.ndarray, "*batch row col"], coverage: Float[np.ndarray, "*batch row col"]
) -> Float[np.ndarray, "*batch"]:
    """Share of a map's attention inside a box; NaN if the map is all zero.

    share = sum of map·coverage / sum of map

    Args:
        maps: rectified maps of any scale.
        coverage: result of `box_coverage`.

    Example:
        >>> attention_share(np.array([[3.0, 1.0]]), np.array([[1.0, 0.0]]))
        array(0.75)
    """
    inside = (maps * coverage).sum(axis=(-2, -1), dtype=np.float64)
    total = np.asarray(maps.sum(axis=(-2, -1), dtype=np.float64))
    return np.divide(inside, total, out=np.full(total.shape, np.nan), where=total > 0)


def localisation(
    maps: Float[np.ndarray, "frame row col"], coverage: Float[np.ndarray, "frame row col"]
) -> Localisation:
    """Attention inside the boxes, averaged over frames and compared with chance.

    Frames whose share is undefined are excluded and counted. The three means are NaN if all frames are excluded.
    """
    return mean_localisation(attention_share(maps, coverage), coverage.mean(axis=(-2, -1), dtype=np.float64))


def mean_localisation(share: Float[np.ndarray, "frame"], chance: Float[np.ndarray, "frame"]) -> Localisation:
    """Means over frames of the share of the attention inside the boxes; see `localisation`.

    Args:
        share: result of `attention_share`.
        chance: share of a uniform map.
    """
    counts = compared(share, chance)
    num_frames = int(counts.sum())
    left_out = len(share) - num_frames
    if not num_frames:
        return Localisation(np.nan, np.nan, np.nan, 0, left_out)
    share, chance = share[counts], chance[counts]
    return Localisation(float(share.mean()), float(chance.mean()), float((share / chance).mean()), num_frames, left_out)


def compared(share: Float[np.ndarray, "frame"], chance: Float[np.ndarray, "frame"]) -> Bool[np.ndarray, "frame"]:
    """Mask of the frames that are compared: their map is not all zero, and part of the box is seen."""
    return np.isfinite(share) & (chance > 0)


def _overlap(span: Float[np.ndarray, "*batch 2"], cells: int) -> Float[np.ndarray, "*batch cell"]:
    """Length of the part of each cell [i, i+1] inside a span from start to stop."""
    start, stop, edge = span[..., :1], span[..., 1:], np.arange(cells)
    return np.clip(np.minimum(stop, edge + 1) - np.maximum(start, edge), 0, 1)
