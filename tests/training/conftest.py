"""Small trainings of an EnergyNet."""

import numpy as np
import torch

from attn.mining.sampler import QuadrupleSampler
from attn.models.energynet import EnergyNet
from attn.training.bank import Bank
from attn.training.energy_config import EnergyConfig
from attn.training.energy_training import samples_per_update
from attn.training.video_table import VideoTable

CPU = torch.device("cpu")
SHAPE = (3, 4)
CELLS, CLASSES = 12, 6
# Class 1 has one video alone, class 4 none; a short table has two videos, and so no positives at all.
LABELS, NUM_FRAMES = (0, 0, 0, 1, 2, 2, 3, 3, 3, 5, 5), (5, 1, 2, 4, 3, 3, 1, 1, 6, 2, 9)
CONFIG = EnergyConfig(
    candidates_initial=128,
    candidates_final=128,
    num_hard=16,
    num_random=8,
    lr=0.05,
    triplet_weight=0.5,
    switch_threshold=1e-6,
    hidden_dim=16,
    embedding_dim=8,
    seed=3,
)


def bank_of(labels: tuple[int, ...] = LABELS, num_frames: tuple[int, ...] = NUM_FRAMES) -> Bank:
    """Random maps, that of the true class somewhat stronger in places of its own."""
    videos = tuple(f"v{i:02}" for i in range(len(labels)))
    table = VideoTable(videos, np.array(labels, np.int64), np.array(num_frames, np.int64))
    generator = torch.Generator().manual_seed(1)
    maps = torch.rand(table.rows, CLASSES, CELLS, generator=generator)
    for row, label in enumerate(np.repeat(labels, num_frames)):
        maps[row, label, label::CLASSES] += 0.5
    return Bank(maps.half().unflatten(2, SHAPE), table)


def sampler_of(table: VideoTable, config: EnergyConfig, num_classes: int = CLASSES) -> QuadrupleSampler:
    return QuadrupleSampler(
        torch.from_numpy(table.labels),
        torch.from_numpy(table.num_frames),
        num_classes=num_classes,
        samples=samples_per_update(config),
        seed=config.seed,
    )


def net_of(config: EnergyConfig, dtype: torch.dtype = torch.float32) -> EnergyNet:
    generator = torch.Generator().manual_seed(2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = EnergyNet(
            torch.randn(CLASSES, 4, generator=generator),
            SHAPE,
            hidden_dim=config.hidden_dim,
            embedding_dim=config.embedding_dim,
            map_scale=0.6,
            residual=config.residual,
            residual_scale=0.4,
            window=2,
        )
    return net.to(dtype)
