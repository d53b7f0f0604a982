"""A task that separates the equations of the attention: the label is the colour of one marked cell of each frame.

All 49 cells carry the seven colours seven times each, so that neither their mean nor their maximum says anything. With
other seeds of the network, the additive form reaches the same accuracy with 0.81 to 0.93 of the attention.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from attn.models.soft_attention import SoftAttention
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.stages.windows import Windows
from attn.training.peers import Alone
from attn.training.soft_attention_training import LabelledWindows, SoftAttentionTrainer, new_net

pytestmark = pytest.mark.usefixtures("one_thread")

COLOURS, CELLS, STEPS, CHANNELS = 7, 49, 3, 16
MARKER = COLOURS
CHANCE = 1 / COLOURS


class Marked(NamedTuple):
    """Windows [video, step, cell, chan], their labels, and the marked cell of every frame."""

    cubes: Tensor
    labels: Tensor
    cells: Tensor


def marked(videos: int, seed: int, *, path: Tensor | None = None) -> Marked:
    """Random windows; the marked cells are random too, unless a path gives them."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(COLOURS, (videos,), generator=random)
    cells = torch.randint(CELLS, (videos, STEPS), generator=random) if path is None else path.expand(videos, STEPS)
    shuffled = torch.rand(videos, STEPS, CELLS, generator=random).argsort(-1)
    colours = (torch.arange(CELLS) % COLOURS)[shuffled]
    # The marked cell swaps its colour with the first cell of the label's.
    wanted, there = labels[:, None].expand(videos, STEPS), colours.gather(2, cells[..., None])
    first = (colours == wanted[..., None]).int().argmax(-1, keepdim=True)
    colours = colours.scatter(2, first, there).scatter(2, cells[..., None], wanted[..., None])
    cubes = 2 * torch.nn.functional.one_hot(colours, CHANNELS).float()
    cubes[..., MARKER] = 2 * torch.nn.functional.one_hot(cells, CELLS).float()
    return Marked(cubes, labels, cells)


def trained(data: Marked, *, updates: int = 100, **settings: Any) -> SoftAttention:
    config = SoftAttentionConfig(
        hidden_dim=16, dropout=0.0, window_frames=STEPS, batch=32, lr=0.02, **{"seed": 3} | settings
    )
    net = new_net(config, num_classes=COLOURS, num_channels=CHANNELS, num_cells=CELLS)
    windows = Windows.of(np.full(len(data.labels), STEPS), frames=STEPS, stride=1, skip=1)
    trainer = SoftAttentionTrainer(
        net, LabelledWindows(data.cubes.flatten(0, 1), windows, data.labels), config, Alone()
    )
    for number in range(updates):
        trainer.update(number)
    return net.eval()


@torch.inference_mode()
def accuracy(net: SoftAttention, data: Marked) -> float:
    means = net.probabilities(net(data.cubes).logits).mean(1)
    return (means.argmax(1) == data.labels).float().mean().item()


@torch.inference_mode()
def mass(net: SoftAttention, data: Marked) -> Tensor:
    """Attention on the marked cell of every frame."""
    return net(data.cubes).attention.gather(2, data.cells[..., None]).squeeze(2)


TRAIN, TEST = marked(6400, seed=0), marked(500, seed=1)


def test_the_cells_say_nothing_without_their_places():
    for label in range(COLOURS):
        cubes = TEST.cubes[TEST.labels == label]
        assert torch.equal(cubes.mean(2), cubes[:1, :1].mean(2).expand(len(cubes), STEPS, CHANNELS))
        assert torch.equal(cubes.amax(2), cubes[:1, :1].amax(2).expand(len(cubes), STEPS, CHANNELS))
    shown = TEST.cubes.gather(2, TEST.cells[..., None, None].expand(-1, -1, 1, CHANNELS)).squeeze(2)
    assert (shown[..., MARKER] == 2).all()
    assert (shown[..., :COLOURS].argmax(-1) == TEST.labels[:, None]).all()


def test_additive_attention_finds_the_marked_cell():
    net = trained(TRAIN)
    assert mass(net, TEST).mean() > 0.9
    assert accuracy(net, TEST) > 0.95


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_pooling_stays_near_chance(pooling):
    assert abs(accuracy(trained(TRAIN, pooling=pooling), TEST) - CHANCE) < 0.08


def test_the_paper_form_puts_exactly_a_49th_on_the_marked_cell():
    """Whatever its weights are, because the place does not depend on the state; here trained and large random ones."""
    nets = [trained(TRAIN, attention="hidden")]
    nets.append(
        new_net(
            SoftAttentionConfig(attention="hidden", hidden_dim=16),
            num_classes=COLOURS,
            num_channels=CHANNELS,
            num_cells=CELLS,
        )
    )
    with torch.no_grad():
        for weight in nets[1].parameters():
            weight.normal_(0, 2, generator=torch.Generator().manual_seed(0))
    many = marked(4000, seed=2)
    for net in nets:
        found = mass(net.eval(), many).flatten()
        error = found.std() / len(found) ** 0.5
        assert abs(found.mean() - 1 / CELLS) < 4 * error
    assert error > 1e-4  # the second network attends to few cells, so its mean could have been far off


def test_the_paper_form_learns_a_fixed_path():
    path = torch.tensor([11, 40, 5])
    train, test = (marked(count, seed=seed, path=path) for count, seed in ((6400, 0), (500, 1)))
    net = trained(train, updates=200, attention="hidden", seed=0)
    assert accuracy(net, test) > 0.95
    assert mass(net, test).mean() > 0.4
