"""Energies of attention maps (UnAtt), and the score of a video from the energies of its frames."""

from jaxtyping import Float
from torch import Tensor

from attn.window_energy import at_least_fp32, window_energy

__all__ = ["at_least_fp32", "video_scores", "window_energy"]


def video_scores(frame_scores: Float[Tensor, "frame cls"]) -> Float[Tensor, "cls"]:
    """Late fusion: mean of the frame scores.

        score(V, c) = (1/N) Σ_F E(L(F, c))

    The score does not depend on the length of the video. The price: a short action in a long video has little effect.

    Raises:
        ValueError: the video has 0 frames.

    Source: Li et al. 2017, section 3.3, Eq. 3 (with window energies) and section 3.4.4 (with learned ones).

    Example:
        >>> video_scores(torch.tensor([[1.0, 0.0], [3.0, 1.0]]))
        tensor([2.0000, 0.5000])
    """
    if len(frame_scores) == 0:
        raise ValueError("a video without frames has no score")
    return at_least_fp32(frame_scores).mean(dim=0)
