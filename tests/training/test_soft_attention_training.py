"""Updates of a soft-attention LSTM: against steps written out, both reductions, several workers, repeatable masks."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from attn.losses.doubly_stochastic import doubly_stochastic_penalty
from attn.models.soft_attention import SoftAttention
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.stages.windows import Windows, shuffled
from attn.training.peers import Alone, Peers
from attn.training.soft_attention_training import (
    LabelledWindows,
    SoftAttentionTrainer,
    Step,
    new_net,
    window_losses,
)
from tests.training.threads import Threads

pytestmark = pytest.mark.usefixtures("one_thread")

CELLS, CHANNELS, CLASSES = 4, 3, 3
SMALL = SoftAttentionConfig(hidden_dim=4, dropout=0.0, window_frames=3, batch=4, optimizer="sgd", lr=0.1)


def data_of(
    num_frames: tuple[int, ...] = (5, 2, 7, 4), *, frames: int = 3, dtype: torch.dtype = torch.float64
) -> LabelledWindows:
    random = torch.Generator().manual_seed(0)
    grids = torch.randn(sum(num_frames), CELLS, CHANNELS, dtype=torch.float64, generator=random).to(dtype)
    windows = Windows.of(np.array(num_frames), frames=frames, stride=1, skip=1)
    return LabelledWindows(grids, windows, torch.arange(len(num_frames)) % CLASSES)


def net_of(config: SoftAttentionConfig, **settings: Any) -> SoftAttention:
    return new_net(config, num_classes=CLASSES, num_channels=CHANNELS, num_cells=CELLS, **settings).double()


def trainer_of(config: SoftAttentionConfig, data: LabelledWindows, peers: Peers | None = None) -> SoftAttentionTrainer:
    return SoftAttentionTrainer(net_of(config), data, config, peers or Alone())


def weights_of(trainer: SoftAttentionTrainer) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in trainer.net.parameters()])


def test_windows_are_gathered_with_their_labels():
    data = data_of((5, 2), dtype=torch.float16)
    cubes, labels = data.select(np.array([3, 0]), torch.zeros(1, dtype=torch.float64))
    assert (cubes.dtype, labels.tolist()) == (torch.float64, [1, 0])
    assert torch.equal(cubes[0], data.grids[[5, 6, 6]].double())
    assert torch.equal(cubes[1], data.grids[:3].double())


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_one_update_written_out(reduction):
    """Sum of all terms of Eq. 6 with a penalty on the sum of squares, over the windows of the second epoch."""
    config = dataclasses.replace(SMALL, ce_reduction=reduction, attention_penalty=2.0, weight_decay=0.02, seed=5)
    data, trainer = data_of(), trainer_of(config, data_of())
    assert (len(data.windows), trainer.updates_per_epoch) == (11, 3)
    number = 5  # the last update of the second epoch, with the three windows that are left
    which = shuffled(11, epoch=1, seed=5)[8:]
    net = net_of(config)
    total = torch.zeros((), dtype=torch.float64)
    for window in which:
        cubes = data.grids[data.windows.rows(np.array([window]))[0]]
        logits, attention = net(cubes[None])
        label = data.labels[data.windows.video[window]]
        total = total - sum(torch.log_softmax(step, -1)[label] for step in logits[0])
        total = total + 2 * doubly_stochastic_penalty(attention).sum()
    loss = total / (3 * 3 if reduction == "mean" else 1)
    (loss + 0.01 * sum(weight.square().sum() for weight in net.parameters())).backward()
    expected = torch.cat([(weight - 0.1 * weight.grad).flatten() for weight in net.parameters()])
    step = trainer.update(number)
    assert step.loss == pytest.approx(loss.item(), rel=1e-12)
    torch.testing.assert_close(weights_of(trainer), expected.detach(), rtol=0, atol=1e-13)


def test_reported_losses():
    config = dataclasses.replace(SMALL, attention_penalty=2.0, batch=11)
    data, net = data_of(), net_of(config)
    cubes, labels = data.select(np.arange(11), net.output.weight)
    losses = window_losses(net, cubes, labels, config)
    step = trainer_of(config, data).update(0)
    means = losses.cross_entropy.mean().item() / 3, losses.penalty.mean().item()
    assert step == pytest.approx(Step(means[0] + 2 / 3 * means[1], *means, 11))


def test_the_released_sum_and_its_mean_train_identically():
    """B = 128, T = 30, rate 1e-5 or 0.0384, λ on the mean over cells, γ = 1e-5 or 1e-5 / 3840; 50 updates."""
    data = data_of((29 + 256,), frames=30)
    shared = {"batch": 128, "window_frames": 30, "attention_penalty": 10.0, "penalty_reduction": "mean"}
    config = dataclasses.replace(SMALL, **shared)
    ends = []
    for settings in (
        {"ce_reduction": "sum", "lr": 1e-5, "weight_decay": 2e-5},
        {"ce_reduction": "mean", "lr": 0.0384, "weight_decay": 2e-5 / 3840},
    ):
        trainer = trainer_of(dataclasses.replace(config, **settings), data)
        start = weights_of(trainer)
        for number in range(50):
            trainer.update(number)
        ends.append(weights_of(trainer))
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-6)
    assert (ends[0] - start).abs().max() > 1e-3


def test_the_first_step_of_released_adam():
    config = dataclasses.replace(SMALL, optimizer="adam_released", lr=None, weight_decay=0.0)
    trainer = trainer_of(config, data_of())
    start = weights_of(trainer)
    trainer.update(0)
    gradients = torch.cat([weight.grad.flatten() for weight in trainer.net.parameters()])
    clear = gradients.abs() > 1e-3
    moved = (start - weights_of(trainer))[clear]
    torch.testing.assert_close(moved, 3.512 * 2e-4 * gradients[clear].sign(), rtol=1e-3, atol=0)
    assert clear.sum() > 100


def test_without_weight_the_penalty_has_no_gradient():
    ends = []
    for target in ("1", "T/K2"):
        trainer = trainer_of(dataclasses.replace(SMALL, penalty_target=target), data_of())
        trainer.update(0)
        ends.append(weights_of(trainer))
    assert torch.equal(*ends)


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_pooled_networks_have_no_penalty(pooling):
    step = trainer_of(dataclasses.replace(SMALL, pooling=pooling), data_of()).update(0)
    assert (step.penalty, step.loss) == (0, step.cross_entropy)


def test_videos_of_several_classes():
    data = data_of()
    mask = torch.tensor([[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 1]]).bool()
    config = dataclasses.replace(SMALL, batch=11, optimizer="adam", lr=0.03)
    trainer = SoftAttentionTrainer(
        net_of(config, multi_label=True), dataclasses.replace(data, labels=mask), config, Alone()
    )
    first = trainer.update(0).loss
    for number in range(1, 100):
        last = trainer.update(number).loss
    assert trainer.net.architecture.multi_label
    assert last < first / 2


@pytest.mark.parametrize("size", [2, 3])
def test_several_workers_train_as_one(size):
    """The last of eleven windows in batches of three are two, so that one of three workers has none."""
    config = dataclasses.replace(SMALL, batch=3, attention_penalty=1.0, weight_decay=0.01)
    alone = trainer_of(config, data_of())
    expected = [alone.update(number) for number in range(8)]
    group = Threads(size)
    trainers = [trainer_of(config, data_of(), group.worker(rank)) for rank in range(size)]
    with ThreadPoolExecutor(size) as pool:
        steps = list(pool.map(lambda trainer: [trainer.update(number) for number in range(8)], trainers))
    for trainer, found in zip(trainers, steps, strict=True):
        assert [tuple(step) for step in found] == [pytest.approx(tuple(step)) for step in expected]
        torch.testing.assert_close(weights_of(trainer), weights_of(alone), rtol=0, atol=1e-12)


def test_masks_depend_on_seed_and_update_only():
    config = dataclasses.replace(SMALL, dropout=0.5, lr=1e-12)  # weights stay, so that losses differ by masks only
    torch.manual_seed(1)
    first = trainer_of(config, data_of(), None)
    losses = [first.update(number).loss for number in (0, 1, 0)]
    assert losses[0] == pytest.approx(losses[2], rel=1e-6)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    assert trainer_of(config, data_of()).update(0).loss == pytest.approx(losses[0], rel=1e-6)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_every_update_has_masks_of_its_own():
    alike = data_of((3,) * 8)
    alike.grids[:] = alike.grids[:3].repeat(8, 1, 1)  # eight equal windows, so that losses differ by masks only
    data = dataclasses.replace(alike, labels=torch.zeros(8, dtype=torch.int64))
    trainer = trainer_of(dataclasses.replace(SMALL, dropout=0.5, lr=1e-12), data)
    assert trainer.update(0).loss != pytest.approx(trainer.update(1).loss, rel=1e-6)


def test_initial_weights_depend_on_the_seed():
    nets = [
        net_of(dataclasses.replace(SMALL, seed=seed, init=init))
        for seed, init in ((0, "torch"), (0, "torch"), (1, "torch"), (0, "released"))
    ]
    tensors = [net.layers[0].recurrent.weight for net in nets]
    assert torch.equal(tensors[0], tensors[1])
    assert not torch.equal(tensors[0], tensors[2])
    assert not nets[3].layers[0].recurrent.bias.any()
    assert nets[0].layers[0].recurrent.bias.any()
    config = dataclasses.replace(SMALL, attention="linear", lstm_layers=2, depth_form="top")
    shape = net_of(config).architecture
    assert (shape.attention, shape.lstm_layers, shape.depth_form, shape.hidden_dim) == ("linear", 2, "top", 4)
