"""Numbers of a store that are none: NaN would pass for a map of no attention, or for the largest one."""

import numpy as np

from attn.errors import UsageError

INFINITY_BITS = 0x7C00  # of a float16: the exponent that infinity and NaN have, and nothing else


def check_finite(url: str, video_id: str, frames: np.ndarray, name: str, values: np.ndarray) -> None:
    """Refuses NaN and infinity.

    Args:
        url: of the store, for the message.
        video_id: whose frames they are.
        frames: int32 [frame], indices in the source.
        name: what the values are, in the plural.
        values: [frame, ...], of any width.

    Raises:
        UsageError: names the first frame that holds one.
    """
    if _all_finite(values):
        return
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    frame = frames[int(np.argmin(finite))]
    raise UsageError(f"{url}: {name} of {video_id}, frame {frame}, hold NaN or infinity; precompute the store again")


def _all_finite(values: np.ndarray) -> bool:
    if values.dtype != np.float16:
        return bool(np.isfinite(values).all())
    # As integers, since numpy widens half floats one by one. Rectified maps have no sign, so a maximum will do.
    bits = values.view(np.uint16)
    return bits.max(initial=0) < INFINITY_BITS or (bits & INFINITY_BITS).max() < INFINITY_BITS
