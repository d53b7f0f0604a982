"""How strongly a map speaks for its class (UnAtt), and how the frames of a video agree on a score."""

from jaxtyping import Float
from torch import Tensor

from attn.window_energy import at_least_fp32, window_energy

__all__ = ["at_least_fp32", "video_scores", "window_energy"]


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
