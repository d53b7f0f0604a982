"""Small real stores, written as precompute writes them, and small trainings of an EnergyNet."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from attn.mining.sampler import QuadrupleSampler
from attn.models.energynet import EnergyNet
from attn.schema import FEATURES, LOGITS, MAPS
from attn.stages.energy_config import EnergyConfig
from attn.stages.energy_training import samples_per_update
from attn.stages.map_bank import MapBank
from attn.stages.video_table import VideoTable
from attn.storage.manifest import Manifest

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


@pytest.fixture
def manifest(new_manifest: Callable[..., Manifest]) -> Manifest:
    return new_manifest(columns=(FEATURES, LOGITS, MAPS), map_shape=(2, 3))


@pytest.fixture
def make_store(tmp_path: Path, manifest: Manifest, write_store: Callable[..., str]) -> Callable[..., str]:
    """make_store({video_id: frames}, maps={video_id: array}, features=…, part_bytes=…, name=…): random where not
    given."""

    def make(
        videos: Mapping[str, int],
        *,
        maps: Mapping[str, np.ndarray] | None = None,
        features: Mapping[str, np.ndarray] | None = None,
        part_bytes: int = 1 << 30,
        name: str = "store",
    ) -> str:
        rng, rows = np.random.default_rng(0), {}
        for video_id, count in videos.items():
            tensors = {
                MAPS: rng.random((count, 3, 2, 3)).astype(np.float16),
                FEATURES: rng.normal(size=(count, 4)).astype(np.float16),
                LOGITS: rng.normal(size=(count, 3)).astype(np.float32),
            }
            given = {MAPS: (maps or {}).get(video_id), FEATURES: (features or {}).get(video_id)}
            rows[video_id] = tensors | {column: values for column, values in given.items() if values is not None}
        return write_store(str(tmp_path / name), manifest, rows, part_bytes=part_bytes)

    return make


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tensors are small here; two threads wait for each other, on a busy machine fifty times as long as they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def bank_of(labels: tuple[int, ...] = LABELS, num_frames: tuple[int, ...] = NUM_FRAMES) -> MapBank:
    """Random maps, that of the true class somewhat stronger in places of its own."""
    videos = tuple(f"v{i:02}" for i in range(len(labels)))
    table = VideoTable(videos, np.array(labels, np.int64), np.array(num_frames, np.int64))
    generator = torch.Generator().manual_seed(1)
    maps = torch.rand(table.rows, CLASSES, CELLS, generator=generator)
    for row, label in enumerate(np.repeat(labels, num_frames)):
        maps[row, label, label::CLASSES] += 0.5
    return MapBank(maps.half(), table)


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
