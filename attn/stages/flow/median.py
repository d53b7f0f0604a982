"""Median filter of a batch of images, by minima and maxima of whole images.

It is several times as fast as a sort per pixel.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

SORT_FIVE = ((0, 1), (3, 4), (2, 4), (2, 3), (1, 4), (0, 3), (0, 2), (1, 3), (1, 2))
"""Sorting network of five values: pairs that are put in order one after the other."""


def median_5x5(images: Float[Tensor, "*batch row col"]) -> Float[Tensor, "*batch row col"]:
    """Median of the 5 × 5 neighbourhood of each pixel; the border is repeated outwards.

    The columns of a neighbourhood are sorted, then its rows. In the result, (i + 1)(j + 1) values are at most equal to
    [i, j], and (5 − i)(5 − j) at least. So six values are too large for the median, the 13th of 25, and six too small;
    the median of the other 13 is that of all.
    """
    height, width = images.shape[-2:]
    padded = F.pad(images, (2, 2, 2, 2), mode="replicate")
    columns = _sorted_five([padded[..., down : down + height, :] for down in range(5)])
    rows = [_sorted_five([one[..., right : right + width] for right in range(5)]) for one in columns]
    middle = [rows[i][j] for i in range(5) for j in range(5) if (i + 1) * (j + 1) <= 13 and (5 - i) * (5 - j) <= 13]
    return _median_of(middle)


def _sorted_five(values: Sequence[Tensor]) -> list[Tensor]:
    """Five tensors in ascending order, element by element."""
    ordered = list(values)
    for low, high in SORT_FIVE:
        ordered[low], ordered[high] = _in_order(ordered[low], ordered[high])
    return ordered


def _median_of(values: Sequence[Tensor]) -> Tensor:
    """Median of an odd number of tensors, element by element.

    The smallest and the largest of just over half of the values cannot be the median; they are dropped, and another
    value takes their place.
    """
    first = len(values) // 2 + 2
    held, left = list(values[:first]), list(values[first:])
    while len(held) > 1:
        held = _without_extremes(held)
        if left:
            held.append(left.pop())
    return held[0]


def _without_extremes(values: Sequence[Tensor]) -> list[Tensor]:
    """Values without the smallest and the largest one of each element."""
    half = len(values) // 2
    pairs = [_in_order(*pair) for pair in zip(values[:half], values[half:], strict=False)]
    low, high = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if len(values) % 2:
        low.append(values[-1])
    for i in range(1, len(low)):
        low[0], low[i] = _in_order(low[0], low[i])
    others = low[1:] if len(values) % 2 == 0 else low[1:-1]
    if len(values) % 2:
        high.append(low[-1])
    for i in range(1, len(high)):
        high[i], high[0] = _in_order(high[0], high[i])
    return [*others, *high[1:]]


def _in_order(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    return torch.minimum(one, other), torch.maximum(one, other)
