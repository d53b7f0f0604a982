"""Rotation of frames to upright: cameras store the picture as the sensor was held, with its orientation."""

import dataclasses
import struct

import numpy as np
from av.video.frame import VideoFrame
from jaxtyping import UInt8


@dataclasses.dataclass(frozen=True)
class Orientation:
    """One of the eight orientations of a picture: rows and columns are swapped first, then reversed.

    Attributes:
        transposed: whether rows and columns are swapped.
        rows_reversed: whether the order of rows is then reversed.
        cols_reversed: whether the order of columns is then reversed.
    """

    transposed: bool = False
    rows_reversed: bool = False
    cols_reversed: bool = False

    def apply(self, rgb: UInt8[np.ndarray, "row col 3"]) -> UInt8[np.ndarray, "row2 col2 3"]:
        """Return the upright picture as a view."""
        turned = rgb.swapaxes(0, 1) if self.transposed else rgb
        return turned[:: -1 if self.rows_reversed else 1, :: -1 if self.cols_reversed else 1]


def orientation_of(frame: VideoFrame) -> Orientation:
    """Return the orientation of a frame from its display matrix, rounded to the nearest right angle.

    The matrix maps the point (x, y) to (a·x + c·y, b·x + d·y) plus a shift:

        a  b  u
        c  d  v
        x₀ y₀ w
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Orientation()
    a, b, _, c, d = struct.unpack("=9i", bytes(matrix))[:5]
    if abs(b) > abs(a):
        return Orientation(transposed=True, rows_reversed=b < 0, cols_reversed=c < 0)
    return Orientation(rows_reversed=d < 0, cols_reversed=a < 0)
