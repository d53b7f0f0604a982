"""Validation of an EnergyNet on held-out videos: scores, accuracy, margins, spread of the embeddings."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn.functional import normalize

from attn.models.energynet import EnergyNet
from attn.training.bank import Bank, select_maps

# Frames processed at a time; hidden activations of all classes take 13 MB with 101 classes.
FRAMES_AT_ONCE = 256
MAPS_AT_ONCE = 4096


class Look(NamedTuple):
    """Validation results as sums over held-out videos, which can be added over workers.

    Attributes:
        correct: number of videos whose true class has the highest score.
        shortfall: sum over videos of the mean over false classes of max{0, score(c) - score(c_gt) + m}. It
            distinguishes good networks even if all videos are classified correctly.
        videos: number of videos.
    """

    correct: float
    shortfall: float
    videos: float


@torch.inference_mode()
def score_bank(net: EnergyNet, bank: Bank, device: torch.device) -> Float[Tensor, "video cls"]:
    """Scores of all videos of a bank.

        score(V, c) = (1/N) Σ_F E_net(F, c)

    Source: Li et al. 2017, section 3.4.4.
    """
    table = bank.table
    rows = torch.from_numpy(np.repeat(np.arange(len(table.labels)), table.num_frames))
    scores = torch.zeros(len(table.labels), bank.values.shape[1], device=device)
    for start in range(0, table.rows, FRAMES_AT_ONCE):
        chunk = slice(start, start + FRAMES_AT_ONCE)
        energies = net.energies(bank.values[chunk].to(device))
        scores.index_add_(0, rows[chunk].to(device), energies)
    return scores / torch.from_numpy(table.num_frames).to(device)[:, None].clamp(min=1)


def look(scores: Float[Tensor, "video cls"], labels: Int[Tensor, "video"], *, margin: float) -> Look:
    """Compute the validation results of scored videos; all zeros if there are 0 videos."""
    true = scores.gather(1, labels[:, None])
    short = torch.relu(scores - true + margin).scatter(1, labels[:, None], 0)
    # argmax breaks ties by the lower class, as in the evaluation.
    correct = (scores.argmax(dim=1) == labels).sum()
    shortfall = short.sum() / max(scores.shape[1] - 1, 1)
    return Look(float(correct), float(shortfall), float(len(labels)))


@torch.inference_mode()
def true_maps(bank: Bank) -> tuple[Float[Tensor, "frame cell"], Int[Tensor, "frame"]]:
    """Maps of the true classes of all frames of a bank, in float32, and these classes."""
    labels = torch.from_numpy(np.repeat(bank.table.labels, bank.table.num_frames)).to(bank.values.device)
    return select_maps(bank, torch.arange(len(labels), device=labels.device), labels), labels


@torch.inference_mode()
def directions(net: EnergyNet, maps: Float[Tensor, "map cell"], classes: Int[Tensor, "map"]) -> Float64[Tensor, "sum"]:
    """Sum of the normalised embeddings, followed by the number of maps; can be added over workers."""
    device = net.map_scale.device
    total = torch.zeros(net.embedding_layer.out_features + 1, dtype=torch.float64, device=device)
    for some, their_classes in zip(maps.split(MAPS_AT_ONCE), classes.split(MAPS_AT_ONCE), strict=True):
        found = net(some.to(device), their_classes.to(device), with_start=False)
        total[:-1] += normalize(found.embedding, dim=-1).sum(0)
    total[-1] = len(maps)
    return total


def spread(sums: Float64[Tensor, "sum"]) -> float:
    """Mean cosine distance of all pairs of embeddings, including a map with itself.

        (1/n²) Σ_i Σ_j (1 - u_i · u_j) = 1 - |(1/n) Σ_i u_i|²,   u_i = f_i / |f_i|

    It is 0 if all embeddings point in one direction, and 1 if their mean direction is zero, e.g. for two classes with
    opposite directions.

    Args:
        sums: result of `directions`, summed over all workers.
    """
    return 1 - (sums[:-1] / sums[-1]).square().sum().item()
