"""Distillation moves the motion map to what moves, and only the teacher of the same video does."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attn.models.attention_distillation import ClipArchitecture, ClipCnn, ClipOutput, Uniform
from attn.models.clip_file import TrainedClipCnn
from attn.models.clip_input import ClipInput
from attn.stages.clip_config import ClipConfig
from attn.stages.clips import ClipSampling
from attn.training.clip_data import ClipData
from attn.training.clip_training import ClipTrainer
from attn.training.peers import Alone
from attn.training.video_table import VideoTable
from tests.training.clip_stores import SIDE, blobs

pytestmark = pytest.mark.usefixtures("one_thread")

STUDENT = ClipArchitecture("small_clip_cnn", "rgb", num_classes=2)
INPUT = ClipInput(4, 1, SIDE, SIDE, "test", {"stride": 1})
CONFIG = ClipConfig(
    backbone="small_clip_cnn", length=4, step=1, batch=8, epochs=8, lr=0.01, dropout=0.0, prior_weight=0.0, flip=False
)
FRAMES, UPDATES = 6, 60


class WhereItMoves(ClipCnn):
    """Teacher whose map is the amount of flow in each cell."""

    def __init__(self) -> None:
        super().__init__(dataclasses.replace(STUDENT, modality="flow", num_maps=1))

    def forward(self, clips: Tensor, uniform: Uniform = torch.rand) -> ClipOutput:
        amount = F.adaptive_avg_pool3d(clips.abs().sum(1, keepdim=True), (1, 4, 4))
        return ClipOutput(torch.zeros(len(clips), 2), 10 * amount)


def videos(count: int, seed: int) -> tuple[ClipData, np.ndarray]:
    """Videos of two equal blobs, of which one moves, and whether it is in the left half."""
    random = np.random.default_rng(seed)
    made = [blobs(random, number % 2, FRAMES) for number in range(count)]
    names = [f"v{number:03}" for number in range(count)]
    table = VideoTable.of({name: i % 2 for i, name in enumerate(names)}, dict.fromkeys(names, FRAMES))
    order = np.array([int(name[1:]) for name in table.video_ids])
    frames, flow = (np.concatenate([one[which] for one in made]) for which in (0, 1))
    left = np.array([one[2] < SIDE // 2 for one in made])[order]
    return ClipData(frames, flow, FRAMES * order, table, ClipSampling(4, 1)), left


def trained(data: ClipData, teacher: TrainedClipCnn | None, **change) -> ClipCnn:
    torch.manual_seed(1)
    net = ClipCnn(STUDENT)
    trainer = ClipTrainer(net, data, INPUT, dataclasses.replace(CONFIG, **change), Alone(), teacher=teacher)
    for number in range(UPDATES):
        trainer.update(number)
    trainer.close()
    return net.eval()


@torch.no_grad()
def on_the_moving_side(net: nn.Module, data: ClipData, left: np.ndarray) -> float:
    """Mean share of the motion map in the half of the frame in which a blob moves."""
    places = [data.draw(video, SIDE, (5, 0), flip=False) for video in range(len(left))]
    maps = net(INPUT.normalised(data.clips_of_frames(places))).attention[:, 0]
    weights = torch.softmax(maps.flatten(2), -1).view_as(maps).mean(1).sum(1)
    return float(np.where(left, weights[:, :2].sum(1), weights[:, 2:].sum(1)).mean())


def test_the_map_of_a_taught_student_lies_on_the_moving_blob_of_new_videos():
    """Both blobs look alike. The control has the teacher's map of another video."""
    train, _ = videos(64, 0)
    test, left = videos(32, 1)
    teacher = TrainedClipCnn(WhereItMoves(), ("a", "b"), INPUT)
    weight = {"distillation_weight": 3.0}
    taught = on_the_moving_side(trained(train, teacher, **weight), test, left)
    untaught = on_the_moving_side(trained(train, None), test, left)
    control = on_the_moving_side(trained(train, teacher, **weight, shuffle_teacher=True), test, left)
    assert taught > 0.8
    assert max(untaught, control) < 0.7


def test_a_teacher_changes_neither_clips_nor_their_order():
    """The baseline sees the same clips in the same number of updates as a student."""
    data, _ = videos(20, 0)
    teacher = TrainedClipCnn(WhereItMoves(), ("a", "b"), INPUT)
    trainers = [
        ClipTrainer(ClipCnn(STUDENT), data, INPUT, dataclasses.replace(CONFIG, flip=True), Alone(), teacher=one)
        for one in (None, teacher)
    ]
    for number in range(2 * trainers[0].updates_per_epoch):
        first, second = (trainer._batch(number) for trainer in trainers)
        assert torch.equal(first.clips, second.clips)
        assert torch.equal(first.labels, second.labels)
        assert first.flow is None
        assert second.flow is not None
    for trainer in trainers:
        trainer.close()
