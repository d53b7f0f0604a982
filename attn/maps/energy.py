"""How strongly a map speaks for its class (UnAtt), and how the frames of a video agree on a score."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from attn.errors import UsageError


def window_energy(maps: Float[Tensor, "*batch row col"], *, window: int = 3) -> Float[Tensor, "*batch"]:
    """Largest attention found in any window of a map: how strongly *some* place speaks for the class.

    A maximum, not a total, so that a small action in a large quiet frame still counts; the price is that two
    separate places never add up.

        E(L) = max over s×s windows (stride 1, no padding) of the sum of L inside

    Half-precision maps, as they come from a store, are summed in float32.

    Args:
        maps: rectified and un-normalised; scaling maps one by one would erase what is compared here.
        window: s, in map cells.

    Raises:
        UsageError: the window is larger than the map, or smaller than one cell.

    Source: Li et al. 2017, section 3.3, Eq. 2.
    """
    rows, cols = maps.shape[-2:]
    if not 1 <= window <= min(rows, cols):
        raise UsageError(f"an energy window of {window} cells does not fit {rows}×{cols} maps; choose --window 1 to 3")
    sums = avg_pool2d(at_least_fp32(maps).reshape(-1, 1, rows, cols), window, stride=1, divisor_override=1)
    return sums.amax(dim=(-3, -2, -1)).reshape(maps.shape[:-2])


def video_scores(frame_scores: Float[Tensor, "frame cls"]) -> Float[Tensor, "cls"]:
    """Late fusion: every frame has the same say.

        score(V, c) = (1/N) Σ_F E(L(F, c))

    A video whose frames are all shown twice scores the same; the price is that a short action in a long video counts
    little.

    Raises:
        ValueError: no frames.

    Source: Li et al. 2017, section 3.3, Eq. 3 (with window energies) and section 3.4.4 (with learned ones).
    """
    if len(frame_scores) == 0:
        raise ValueError("a video without frames has no score")
    return at_least_fp32(frame_scores).mean(dim=0)


def at_least_fp32(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Half precision is for storage: sums of a few hundred fp16 numbers lose digits that rank classes."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
