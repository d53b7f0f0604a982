"""Group leak: on synthetic recordings, the random split of UCF-11 promises far more than its groups allow."""

import zlib

import numpy as np
import pytest
import torch

from attn.datasets import ucf11
from attn.datasets.protocol import Benchmark
from attn.eval.metrics import top_k_accuracy
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.stages.soft_attention_scoring import score_videos
from attn.stages.windows import Windows
from attn.storage.location import Location
from attn.training.peers import Alone
from attn.training.soft_attention_training import LabelledWindows, SoftAttentionTrainer, new_net

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES, GROUPS, CLIPS, FRAMES, CELLS, CHANNELS = ("a", "b", "c", "d"), 12, 5, 3, 4, 24
CONFIG = SoftAttentionConfig(
    pooling="average", hidden_dim=24, dropout=0.0, window_frames=FRAMES, batch=64, lr=0.01, weight_decay=0.0
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("ucf11"))
    for name in CLASSES:
        for group in range(1, GROUPS + 1):
            for clip in range(1, CLIPS + 1):
                path = f"{name}/v_{name}_{group:02}/v_{name}_{group:02}_{clip:02}.avi"
                (Location.at(folder) / ucf11.VIDEOS / path).write_atomic(b"")
    return folder


def look_of(video_ids: list[str]) -> torch.Tensor:
    """Frames whose recording is plain to see, and whose class is not."""
    frames = []
    for video_id in video_ids:
        recording = np.random.default_rng(zlib.crc32(video_id.rpartition("_")[0].encode())).normal(size=CHANNELS)
        noise = np.random.default_rng(zlib.crc32(video_id.encode())).normal(size=(FRAMES, CELLS, CHANNELS))
        frames.append(recording + 0.3 * noise)
    return torch.tensor(np.concatenate(frames), dtype=torch.float32)


def accuracy(benchmark: Benchmark) -> float:
    split, ids = benchmark.splits[0], {name: number for number, name in enumerate(benchmark.class_names)}
    parts = []
    for part in (split.train, split.test):
        windows = Windows.of(np.full(len(part), FRAMES), frames=FRAMES, stride=1, skip=1)
        labels = torch.tensor([ids[name] for name in part.values()])
        parts.append(LabelledWindows(look_of(list(part)), windows, labels))
    train, test = parts
    net = new_net(CONFIG, num_classes=len(ids), num_channels=CHANNELS, num_cells=CELLS)
    trainer = SoftAttentionTrainer(net, train, CONFIG, Alone())
    for number in range(100):
        trainer.update(number)
    scores = score_videos(net, test.grids, test.windows, len(test.labels)).scores
    return top_k_accuracy(scores.numpy(), test.labels.numpy())


def test_a_random_split_is_far_above_a_split_of_groups(root):
    found = {one.name: accuracy(one) for one in (ucf11.benchmark_975(root, None), ucf11.benchmark_random(root, None))}
    assert found.keys() == {"ucf11_975", "ucf11_random"}
    assert found["ucf11_random"] > 0.9
    assert found["ucf11_975"] < 0.5
