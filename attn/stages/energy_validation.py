"""How good an EnergyNet is on videos it does not learn from: scores, accuracy, and how far the margins are kept."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from attn.models.energynet import EnergyNet
from attn.stages.map_bank import MapBank

# Hidden layers of all classes of so many frames are held at a time: 13 MB with 101 classes.
FRAMES_AT_ONCE = 256


class Look(NamedTuple):
    """Sums over held-out videos, so that the looks of several workers add up.

    Attributes:
        correct: videos whose true class has the highest score.
        shortfall: over videos, the mean over false classes of max{0, score(c) - score(c_gt) + m}: it still tells good
            networks apart where all videos are right.
        videos: how many.
    """

    correct: float
    shortfall: float
    videos: float


@torch.inference_mode()
def frame_energies(net: EnergyNet, maps: Float[Tensor, "frame cls row col"]) -> Float[Tensor, "frame cls"]:
    """E_net of all classes of any number of frames, some at a time."""
    return torch.cat([net.energies(chunk) for chunk in maps.split(FRAMES_AT_ONCE)])


@torch.inference_mode()
def score_bank(net: EnergyNet, bank: MapBank, device: torch.device) -> Float[Tensor, "video cls"]:
    """Scores of all videos of a bank.

        score(V, c) = (1/N) Σ_F E_net(F, c)

    Source: Li et al. 2017, section 3.4.4.
    """
    table = bank.table
    rows = torch.from_numpy(np.repeat(np.arange(len(table.labels)), table.num_frames))
    scores = torch.zeros(len(table.labels), bank.maps.shape[1], device=device)
    for start in range(0, table.rows, FRAMES_AT_ONCE):
        chunk = slice(start, start + FRAMES_AT_ONCE)
        energies = net.energies(bank.maps[chunk].to(device)[..., None])
        scores.index_add_(0, rows[chunk].to(device), energies)
    return scores / torch.from_numpy(table.num_frames).to(device)[:, None].clamp(min=1)


def look(scores: Float[Tensor, "video cls"], labels: Int[Tensor, "video"], *, margin: float) -> Look:
    """Tally of scored videos; no videos make a tally of zeros."""
    true = scores.gather(1, labels[:, None])
    short = torch.relu(scores - true + margin).scatter(1, labels[:, None], 0)
    # Of equal scores the lower class counts, as in the evaluation.
    correct = (scores.argmax(dim=1) == labels).sum()
    shortfall = short.sum() / max(scores.shape[1] - 1, 1)
    return Look(float(correct), float(shortfall), float(len(labels)))
