"""Updates of a network of clips: workers, teacher, random numbers, optimizer, and BatchNorm of a group."""

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from attn.models.attention_distillation import ClipArchitecture, ClipCnn
from attn.models.clip_file import TrainedClipCnn
from attn.models.clip_input import ClipInput
from attn.stages.clip_config import ClipConfig
from attn.stages.clips import ClipSampling
from attn.training.clip_data import ClipData, ClipNoise
from attn.training.clip_training import ClipTrainer, new_optimizer, set_cosine_rates, teacher_logits
from attn.training.joint_batchnorm import JointBatchNorm, join_batchnorm
from attn.training.peers import Alone
from attn.training.video_table import VideoTable
from tests.training.clip_stores import SIDE, blobs
from tests.training.threads import Threads

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ClipConfig(backbone="small_clip_cnn", length=4, step=1, batch=4, epochs=4, lr=0.01, momentum=0.5)
FOUR = ClipSampling(4, 1)
INPUT = ClipInput(4, 1, SIDE, 24, "test", {"stride": 1})
STUDENT = ClipArchitecture("small_clip_cnn", "rgb", num_classes=2)


def data_of(lengths=(6, 4, 9, 5, 7, 3), sampling=FOUR, **change) -> ClipData:
    random = np.random.default_rng(0)
    videos = [blobs(random, i % 2, length)[:2] for i, length in enumerate(lengths)]
    frames, flow = (np.concatenate(arrays) for arrays in zip(*videos, strict=True))
    names = [f"v{i}" for i in range(len(lengths))]
    labels = {name: i % 2 for i, name in enumerate(names)}
    table = VideoTable.of(labels, dict(zip(names, lengths, strict=True)))
    starts = dict(zip(names, (np.cumsum(lengths) - lengths).tolist(), strict=True))
    first_row = np.array([starts[name] for name in table.video_ids])
    return dataclasses.replace(ClipData(frames, flow, first_row, table, sampling), **change)


def net_of(**change) -> ClipCnn:
    torch.manual_seed(0)
    return ClipCnn(dataclasses.replace(STUDENT, **change))


def teacher_of() -> TrainedClipCnn:
    torch.manual_seed(9)
    net = ClipCnn(dataclasses.replace(STUDENT, modality="flow", num_maps=1))
    nn.init.normal_(net.attentions["motion"].score.weight, std=0.05)  # far from uniform
    return TrainedClipCnn(net.eval().requires_grad_(False), ("a", "b"), INPUT, {"algorithm": "dis"})


def trainer_of(config=SMALL, peers=None, *, teacher=None, net=None, data=None) -> ClipTrainer:
    return ClipTrainer(net or net_of(), data or data_of(), INPUT, config, peers or Alone(), teacher=teacher)


@pytest.mark.parametrize("size", [2, 3])
def test_several_workers_train_as_one(size):
    """Noise, dropout and BatchNorm do not depend on the division of the clips."""
    alone = trainer_of(teacher=teacher_of())
    expected = [alone.update(number) for number in range(4)]
    group = Threads(size)
    trainers = [trainer_of(SMALL, group.worker(rank), teacher=teacher_of()) for rank in range(size)]
    with ThreadPoolExecutor(size) as pool:
        steps = list(pool.map(lambda trainer: [trainer.update(number) for number in range(4)], trainers))
    for trainer, found in zip(trainers, steps, strict=True):
        assert [tuple(step) for step in found] == [pytest.approx(tuple(step), rel=1e-4) for step in expected]
        torch.testing.assert_close(trainer.net.state_dict(), alone.net.state_dict(), rtol=1e-3, atol=1e-5)
        trainer.close()
    alone.close()


def test_joint_batchnorm_equals_one_process():
    torch.manual_seed(0)
    values, shares = torch.randn(5, 3, 2, 4, 4, dtype=torch.float64) * 3 + 1, (2, 3)
    one = nn.BatchNorm3d(3, eps=0.01, momentum=0.2).double()
    nn.init.normal_(one.weight)
    group, outputs, inputs = Threads(2), [], values.clone().requires_grad_()
    layers = [nn.BatchNorm3d(3, eps=0.01, momentum=0.2).double() for _ in shares]
    parts = [part.clone().requires_grad_() for part in values.split(shares)]

    def work(rank: int):
        layers[rank].load_state_dict(one.state_dict())
        net = nn.Sequential(layers[rank])
        join_batchnorm(net, group.worker(rank))
        assert isinstance(net[0], JointBatchNorm)
        found = net(parts[rank])
        (found**3).sum().backward()
        return net, found

    with ThreadPoolExecutor(2) as pool:
        outputs = list(pool.map(work, range(2)))
    expected = one(inputs)
    (expected**3).sum().backward()
    torch.testing.assert_close(torch.cat([found for _, found in outputs]), expected)
    torch.testing.assert_close(torch.cat([part.grad for part in parts]), inputs.grad)
    for net, _ in outputs:
        torch.testing.assert_close(net[0].state_dict(), one.state_dict())
    total = sum(net[0].weight.grad for net, _ in outputs)
    torch.testing.assert_close(total, one.weight.grad)


def test_the_teacher_stays_as_it_is():
    teacher = teacher_of()
    before = {name: tensor.clone() for name, tensor in teacher.net.state_dict().items()}
    trainer = trainer_of(teacher=teacher)
    steps = [trainer.update(number) for number in range(3)]
    trainer.close()
    assert all(step.motion_kl > 0 for step in steps)
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.net.state_dict().items())
    assert all(weight.grad is None for weight in teacher.net.parameters())
    assert not teacher.net.training


def test_the_divergence_falls_only_with_a_weight():
    """With weight 0, the loss has no term of the teacher, so its divergence does not fall."""
    config, last = dataclasses.replace(SMALL, epochs=30, prior_weight=0.0, batch=6, jitter=0.0, flip=False), {}
    for weight in (0.0, 3.0):
        trainer = trainer_of(dataclasses.replace(config, distillation_weight=weight), teacher=teacher_of())
        steps = [trainer.update(number) for number in range(24)]
        trainer.close()
        last[weight] = np.mean([step.motion_kl for step in steps[-5:]]) / steps[0].motion_kl
    assert last[3.0] < 0.5
    assert last[0.0] > 0.9


def test_the_loss_is_the_sum_of_its_terms():
    trainer = trainer_of(dataclasses.replace(SMALL, distillation_weight=0.5, prior_weight=2.0), teacher=teacher_of())
    step = trainer.update(0)
    trainer.close()
    weighted = math.log(2) * (0.5 * step.motion_kl + 2.0 * step.prior_kl)
    assert step.loss == pytest.approx(step.cross_entropy + weighted, rel=1e-5)


def test_the_cross_entropy_is_smoothed_as_in_pytorch():
    config = dataclasses.replace(
        SMALL, prior_weight=0.0, dropout=0.0, attention="soft", batch=6, flip=False, jitter=0.0
    )
    trainer = trainer_of(config, net=net_of(attention="soft", dropout=0.0))
    batch = trainer._batch(0)
    with torch.no_grad():
        logits = net_of(attention="soft", dropout=0.0)(INPUT.normalised(batch.clips)).logits
    expected = nn.CrossEntropyLoss(label_smoothing=0.1)(logits, batch.labels)
    step = trainer.update(0)
    trainer.close()
    assert step.loss == pytest.approx(expected.item(), rel=1e-5)


def test_teacher_and_student_see_one_window_and_a_shuffled_teacher_another_video():
    for shuffled in (False, True):
        config = dataclasses.replace(SMALL, batch=6, shuffle_teacher=shuffled)
        trainer = trainer_of(config, teacher=teacher_of())
        batch = trainer._batch(0)
        trainer.close()
        # A blob is bright and moves; in another video a blob is elsewhere.
        moving = batch.flow[:, 1].abs() > 50
        bright = (batch.clips.float().mean(1) > 150)[:, : moving.shape[1]]
        inside = (bright & moving).sum((1, 2, 3)) / moving.sum((1, 2, 3)).clamp(min=1)
        seen = moving.sum((1, 2, 3)) > 0
        assert seen.sum() >= 3
        assert bool((inside[seen] > 0.99).all()) != shuffled


def test_noise_of_a_clip_does_not_depend_on_its_batch():
    whole, share = ClipNoise([3, 7], [0, 1, 2]), ClipNoise([3, 7], [2])
    device = torch.device("cpu")
    for shape in ((4, 5), (6,)):
        assert torch.equal(whole((3, *shape), device=device)[2:], share((1, *shape), device=device))
    other, first = (ClipNoise([3, update], [0])((1, 5), device=device) for update in (8, 7))
    assert not torch.equal(other, first)
    assert not torch.equal(*ClipNoise([3, 7], [0, 1])((2, 5), device=device))


def test_clips_differ_between_epochs_and_not_between_calls():
    data = data_of((40,) * 4)
    draws = [[data.draw(video, 24, (0, epoch), flip=True) for video in range(4)] for epoch in (0, 1, 0)]
    assert draws[0] == draws[2]
    assert draws[0] != draws[1]
    assert len({place.start for place in draws[0]}) > 1


def test_only_weights_decay_and_new_layers_learn_faster():
    net = net_of(attention_hidden=3)
    config = dataclasses.replace(SMALL, lr=0.02, batch=8, weight_decay=0.5, head_lr_factor=10.0)
    for pretrained in (True, False):
        rates = {}
        for group in new_optimizer(net, config, pretrained=pretrained).param_groups:
            assert group["nesterov"]
            rates |= {id(weight): (group["lr"], group["weight_decay"]) for weight in group["params"]}
        found = {name: rates[id(weight)] for name, weight in net.named_parameters()}
        slow = 0.01 if pretrained else 0.1
        assert found["backbone.net.features.0.0.weight"] == pytest.approx((slow, 0.5))
        assert found["backbone.net.features.0.1.weight"] == pytest.approx((slow, 0.0))
        assert found["attentions.motion.hidden.weight"] == pytest.approx((0.1, 0.5))
        assert found["classifier.weight"] == pytest.approx((0.1, 0.5))
        assert found["classifier.bias"] == pytest.approx((0.1, 0.0))


def test_rates_fall_along_a_cosine():
    optimizer = new_optimizer(net_of(), SMALL, pretrained=False)
    full, found = optimizer.param_groups[0]["lr"], []
    for update in (0, 5, 10):
        set_cosine_rates(optimizer, update, 10)
        found.append(optimizer.param_groups[0]["lr"] / full)
    assert found == pytest.approx([1, 0.5, 0])


def test_a_teachers_logits_have_no_gradient():
    logits = teacher_logits(teacher_of(), torch.zeros(1, 2, 4, 24, 24, dtype=torch.int8))
    assert not logits.requires_grad
    assert logits.shape == (1, 1, 3, 3)
