"""Check of stored values for NaN and infinity, which could pass for an empty map or for the largest one."""

import numpy as np

from attn.errors import UsageError

INFINITY_BITS = 0x7C00  # exponent bits of a float16, all set only for infinity and NaN


def check_finite(url: str, video_id: str, frames: np.ndarray, name: str, values: np.ndarray) -> None:
    """Check that all values of a video's frames are finite.

    Args:
        url: URL of the store, for the message.
        video_id: ID of the video.
        frames: int32 [frame], frame indices in the source.
        name: name of the values, in the plural.
        values: [frame, ...], floats of any width.

    Raises:
        UsageError: a value is NaN or infinite; the message names the first such frame.
    """
    if _all_finite(values):
        return
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    frame = frames[int(np.argmin(finite))]
    raise UsageError(
        f"{url}: {name} of {video_id}, frame {frame}, contain NaN or infinity. Precompute the store again."
    )


def _all_finite(values: np.ndarray) -> bool:
    if values.dtype != np.float16:
        return bool(np.isfinite(values).all())
    # Compared as integers, because numpy converts float16 values one by one. Rectified maps have no sign bit, so their
    # maximum is sufficient.
    bits = values.view(np.uint16)
    return bits.max(initial=0) < INFINITY_BITS or (bits & INFINITY_BITS).max() < INFINITY_BITS
