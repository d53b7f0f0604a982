"""Does attention fall where the action is? Shares of a map's attention inside a box given in the source's pixels.

The CNN saw the centred square of the frame (shorter side resized, then centre crop), so a map covers that square and
nothing else: a box is moved into the square and cut to it. Cells that a box covers in part count in part.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Localisation(NamedTuple):
    """Attention inside the boxes of several frames.

    Attributes:
        share: mean over the frames of the share of a map that lies inside its box.
        chance: mean share of a map without any preference, that is, of the covered area.
        ratio: mean over the frames of share / chance; 1 is no better than chance.
        num_frames: frames that count.
        num_left_out: frames whose map is all zero, or whose box lies outside what the CNN saw.
    """

    share: float
    chance: float
    ratio: float
    num_frames: int
    num_left_out: int


def map_box(
    box: Float[np.ndarray, "*batch 4"], *, source_shape: tuple[int, int], map_shape: tuple[int, int]
) -> Float[np.ndarray, "*batch 4"]:
    """A box of the source in cells of a map. Cell (i, j) spans rows i to i+1 and columns j to j+1.

    A box outside the centred square keeps coordinates outside the map.

    Args:
        box: left, top, right, bottom in source pixels; edges, not pixel centres, so that right − left is the width.
        source_shape: rows and columns of a source frame as it is shown. Pixels that are not square are made so in
            width (`attn.video.aspect`); a box annotated on the stored picture is to be scaled likewise.
        map_shape: rows and columns of the map.

    Raises:
        ValueError: right is left of left, or bottom above top.

    Differs: the crop is placed exactly in the middle; resizing to whole pixels may move it by half a source pixel.
    """
    if (box[..., 2:] < box[..., :2]).any():
        raise ValueError("a box is (left, top, right, bottom) with left ≤ right and top ≤ bottom")
    (rows, cols), (map_rows, map_cols) = source_shape, map_shape
    side = min(rows, cols)
    offset = np.array([(cols - side) / 2, (rows - side) / 2] * 2)
    return (box - offset) / side * np.array([map_cols, map_rows] * 2)


def box_coverage(
    box: Float[np.ndarray, "*batch 4"], *, source_shape: tuple[int, int], map_shape: tuple[int, int]
) -> Float[np.ndarray, "*batch row col"]:
    """Share of every map cell's area that lies inside the box, 0–1. Arguments as in `map_box`."""
    found = map_box(box, source_shape=source_shape, map_shape=map_shape)
    rows = _overlap(found[..., [1, 3]], map_shape[0])
    cols = _overlap(found[..., [0, 2]], map_shape[1])
    return rows[..., :, None] * cols[..., None, :]


def attention_share(
    maps: Float[np.ndarray, "*batch row col"], coverage: Float[np.ndarray, "*batch row col"]
) -> Float[np.ndarray, "*batch"]:
    """Share of a map's attention inside a box; NaN where the map is all zero and so has no share.

    share = sum of map·coverage / sum of map

    Args:
        maps: rectified; their scale does not matter.
        coverage: of `box_coverage`.
    """
    inside = (maps * coverage).sum(axis=(-2, -1), dtype=np.float64)
    total = np.asarray(maps.sum(axis=(-2, -1), dtype=np.float64))
    return np.divide(inside, total, out=np.full(total.shape, np.nan), where=total > 0)


def localisation(
    maps: Float[np.ndarray, "frame row col"], coverage: Float[np.ndarray, "frame row col"]
) -> Localisation:
    """How much of the attention of many frames lies inside their boxes, against chance.

    Frames without a share are left out and counted. When none is left the three means are NaN.
    """
    share = attention_share(maps, coverage)
    chance = coverage.mean(axis=(-2, -1), dtype=np.float64)
    counts = np.isfinite(share) & (chance > 0)
    num_frames = int(counts.sum())
    left_out = len(maps) - num_frames
    if not num_frames:
        return Localisation(np.nan, np.nan, np.nan, 0, left_out)
    share, chance = share[counts], chance[counts]
    return Localisation(float(share.mean()), float(chance.mean()), float((share / chance).mean()), num_frames, left_out)


def _overlap(span: Float[np.ndarray, "*batch 2"], cells: int) -> Float[np.ndarray, "*batch cell"]:
    """Length of the part of each cell [i, i+1] inside a span from start to stop."""
    start, stop, edge = span[..., :1], span[..., 1:], np.arange(cells)
    return np.clip(np.minimum(stop, edge + 1) - np.maximum(start, edge), 0, 1)
