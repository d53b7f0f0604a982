"""Values of each frame and class behind the score of a video: logits, energies or probabilities."""

import numpy as np
import torch
from jaxtyping import Float

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
from attn.storage.store import VideoRows

OF_LOGITS = CnnVote | CnnSoftmaxVote | CnnAverage


def plain_scorer(scorer: Scorer) -> Scorer:
    """Return the scorer without its name and calibration."""
    while isinstance(scorer, Named | Calibrated):
        scorer = scorer.scorer
    return scorer


def frame_values(scorer: Scorer, rows: VideoRows) -> Float[np.ndarray, "frame cls"] | None:
    """Compute the values of some frames of a video; None for a scorer of another kind, which scores videos only.

    They are window energies for UnAtt, learned energies for an EnergyNet, probabilities for a soft-attention LSTM (NaN
    for frames in no window), and logits for methods of the CNN. Calibrations, which are of videos, are not applied.

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
    return rows.logits if isinstance(plain, OF_LOGITS) else None


def value_name(scorer: Scorer) -> str:
    """Return the name of these values."""
    plain = plain_scorer(scorer)
    if isinstance(plain, SoftAttentionScore):
        return "probability"
    if isinstance(plain, UnAtt | EnergyNetScore):
        return "energy"
    return "logit" if isinstance(plain, OF_LOGITS) else "score"


def needs_whole_video(scorer: Scorer) -> bool:
    """Whether a scorer needs all frames, because the values of a frame depend on others, or because it has none."""
    return not isinstance(plain_scorer(scorer), UnAtt | EnergyNetScore | OF_LOGITS)
