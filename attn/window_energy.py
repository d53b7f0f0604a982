"""Energy of a map's strongest window: the score of UnAtt, and an optional start for a learned energy."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from attn.errors import UsageError

# This many maps and their window sums fit in a CPU's cache.
MAPS_AT_ONCE = 2048


def window_energy(maps: Float[Tensor, "*batch row col"], *, window: int = 3) -> Float[Tensor, "*batch"]:
    """Largest sum of attention in any window of a map: how strongly *some* place supports the class.

    A maximum, not a total, so that a small action in a large, still frame counts too; the price is that two separate
    places never add up.

        E(L) = max over s×s windows (stride 1, no padding) of the sum of L inside

    Half-precision maps, as stored, are summed in float32.

    Args:
        maps: rectified, unnormalised maps; scaling each map separately would remove the differences compared here.
        window: side of the window, s, in map cells.

    Raises:
        UsageError: the window is larger than the map, or smaller than one cell.

    Source: Li et al. 2017, section 3.3, Eq. 2.
    """
    rows, cols = maps.shape[-2:]
    if not 1 <= window <= min(rows, cols):
        raise UsageError(f"--window {window}: does not fit in maps of {rows}×{cols} cells. Choose 1 to 3.")
    chunks = at_least_fp32(maps).reshape(-1, rows, cols).split(MAPS_AT_ONCE)
    return torch.cat([_largest_sums(chunk, window) for chunk in chunks]).reshape(maps.shape[:-2])


def _largest_sums(maps: Float[Tensor, "map row col"], window: int) -> Float[Tensor, "map"]:
    if not len(maps):
        return maps.new_zeros(0)
    # With the maps innermost in memory, the CPU adds several maps at once, which is three to seven times as fast.
    image = maps[None].contiguous(memory_format=torch.channels_last)
    return avg_pool2d(image, window, stride=1, divisor_override=1).amax(dim=(-2, -1))[0]


def at_least_fp32(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Values in float32 or a wider type.

    Half precision is only for storage: sums of a few hundred fp16 numbers lose digits that decide the ranking of
    classes.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
