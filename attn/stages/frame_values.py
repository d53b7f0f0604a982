"""Values of each frame and class behind the score of a video: logits, energies or probabilities; attention over time.

A row of a clip store is a clip, which counts as a frame here.
"""

import numpy as np
import torch
from jaxtyping import Float

from attn.eval.fusion import softmax
from attn.stages.clip_scoring import ClipAverage
from attn.stages.scoring import (
    Calibrated,
    CnnAverage,
    CnnSoftmaxVote,
    CnnVote,
    EnergyNetScore,
    Named,
    Scorer,
    UnAtt,
    frame_energies,
    window_energies,
)
from attn.stages.soft_attention_scoring import SoftAttentionScore
from attn.stages.tsrnet_scoring import TsrnetScore
from attn.storage.store import VideoRows

OF_LOGITS = CnnVote | CnnSoftmaxVote | CnnAverage


def plain_scorer(scorer: Scorer) -> Scorer:
    """Return the scorer without its name and calibration."""
    while isinstance(scorer, Named | Calibrated):
        scorer = scorer.scorer
    return scorer


def frame_values(scorer: Scorer, rows: VideoRows) -> Float[np.ndarray, "frame cls"] | None:
    """Compute the values of some frames of a video; None for a scorer of another kind, which scores videos only.

    They are window energies for UnAtt, learned energies for an EnergyNet, and logits for methods of the CNN. They are
    probabilities for a soft-attention LSTM (NaN for frames in no window), for a TSRNet (those of the frame by itself)
    and for a network of clips. Calibrations, which are of videos, are not applied.

    Args:
        scorer: the method.
        rows: rows with its columns. A soft-attention LSTM needs those of the whole video.
    """
    plain = plain_scorer(scorer)
    if isinstance(plain, UnAtt):
        return window_energies(rows.maps, plain.window).numpy()
    if isinstance(plain, EnergyNetScore):
        device = plain.net.map_scale.device
        return frame_energies(plain.net, torch.tensor(rows.maps).to(device)).cpu().numpy()
    if isinstance(plain, SoftAttentionScore):
        return plain.scored(rows).probabilities()
    if isinstance(plain, TsrnetScore):
        return plain.probabilities(rows)
    if isinstance(plain, ClipAverage):
        return softmax(rows.logits)
    return rows.logits if isinstance(plain, OF_LOGITS) else None


def frame_attention(scorer: Scorer, rows: VideoRows) -> Float[np.ndarray, " frame"] | None:
    """Compute the attention weight of each frame of a whole video; None for a scorer that does not weight frames."""
    plain = plain_scorer(scorer)
    return plain.attention(rows) if isinstance(plain, TsrnetScore) else None


def value_name(scorer: Scorer) -> str:
    """Return the name of these values."""
    plain = plain_scorer(scorer)
    if isinstance(plain, SoftAttentionScore | ClipAverage):
        return "probability"
    if isinstance(plain, TsrnetScore):
        return "probability of the frame by itself"
    if isinstance(plain, UnAtt | EnergyNetScore):
        return "energy"
    return "logit" if isinstance(plain, OF_LOGITS) else "score"


def needs_whole_video(scorer: Scorer) -> bool:
    """Whether a scorer needs all frames, because the values of a frame depend on others, or because it has none."""
    return not isinstance(plain_scorer(scorer), UnAtt | EnergyNetScore | TsrnetScore | ClipAverage | OF_LOGITS)
