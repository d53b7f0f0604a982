"""Faithfulness checks of the soft-attention LSTM: pooling, permutations, causality, dropout, both ways of unrolling."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from attn.models.soft_attention import Architecture, SoftAttention

SHAPE = Architecture(5, 6, 49, hidden_dim=8, dropout=0.0)
FORMS = ["additive", "hidden", "linear"]


def net_of(**settings: Any) -> SoftAttention:
    torch.manual_seed(0)
    return SoftAttention(dataclasses.replace(SHAPE, **settings)).double().eval()


def cubes_of(batch: int = 3, steps: int = 4, seed: int = 0) -> Tensor:
    shape = (batch, steps, SHAPE.num_cells, SHAPE.num_channels)
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("form", FORMS)
def test_attention_weights_are_positive_and_add_up_to_1(form):
    attention = net_of(attention=form)(cubes_of()).attention
    assert (attention > 0).all()
    torch.testing.assert_close(attention.sum(-1), torch.ones(3, 4, dtype=torch.float64))


@pytest.mark.parametrize("depth", [{}, {"lstm_layers": 3}, {"lstm_layers": 2, "depth_form": "top"}])
def test_equal_logits_are_average_pooling(depth):
    attending, pooled = net_of(attention="hidden", **depth), net_of(pooling="average", **depth)
    with torch.no_grad():
        for layer in attending.layers:
            if layer.attention is not None:
                layer.attention.state.weight.copy_(torch.randn(8, dtype=torch.float64).expand(49, 8))
    shared = {name: weight for name, weight in attending.state_dict().items() if "attention" not in name}
    pooled.load_state_dict(shared)
    logits, attention = attending(cubes_of())
    torch.testing.assert_close(attention, torch.full_like(attention, 1 / 49), rtol=1e-13, atol=0)
    found = pooled(cubes_of())
    assert found.attention is None
    torch.testing.assert_close(found.logits, logits, rtol=0, atol=1e-14)


def test_max_pooling_takes_the_largest_of_each_channel():
    net, cubes = net_of(pooling="max"), cubes_of()
    one_cell = cubes.amax(2, keepdim=True).expand_as(cubes)
    same_mean = cubes.mean(2, keepdim=True)
    frames, like = net.prepare(cubes), net.prepare(one_cell)
    assert torch.equal(frames.values, like.values)
    assert torch.equal(frames.mean, same_mean.squeeze(2))
    assert not torch.allclose(net(cubes).logits, net_of(pooling="average")(cubes).logits)


def test_permuted_cells():
    order, cubes = torch.randperm(49, generator=torch.Generator().manual_seed(3)), cubes_of()
    permuted = cubes.clone()
    permuted[:, -1] = cubes[:, -1, order]
    for form, follows in (("additive", True), ("hidden", False)):
        net = net_of(attention=form)
        before, after = net(cubes).attention, net(permuted).attention
        torch.testing.assert_close(after[:, :-1], before[:, :-1], rtol=0, atol=1e-13)
        last = before[:, -1, order] if follows else before[:, -1]
        torch.testing.assert_close(after[:, -1], last, rtol=0, atol=1e-13)


def test_the_paper_form_does_not_see_the_frame():
    """Other later frames with the same mean over the window leave the first step as it was."""
    cubes = cubes_of()
    other = cubes.clone()
    other[:, 1:] = cubes_of(seed=1)[:, 1:]
    other[:, 1:] += (cubes.mean((1, 2)) - other.mean((1, 2)))[:, None, None] * 4 / 3
    torch.testing.assert_close(other.mean((1, 2)), cubes.mean((1, 2)))
    for form in FORMS:
        net = net_of(attention=form)
        before, after = net(cubes), net(other)
        torch.testing.assert_close(after.attention[:, 0], before.attention[:, 0], rtol=0, atol=1e-13)
        torch.testing.assert_close(after.logits[:, 0], before.logits[:, 0], rtol=0, atol=1e-13)
        assert (after.logits[:, 1] - before.logits[:, 1]).abs().max() > 1e-4
    current = cubes.clone()
    current[:, 0], current[:, 1] = cubes[:, 1], cubes[:, 0]  # the same mean again
    for form, sees in zip(FORMS, (True, False, True), strict=True):
        net = net_of(attention=form)
        same = torch.allclose(net(current).attention[:, 0], net(cubes).attention[:, 0], rtol=0, atol=1e-9)
        assert same != sees


@pytest.mark.parametrize("depth", [{}, {"lstm_layers": 3}, {"lstm_layers": 3, "depth_form": "top"}])
@pytest.mark.parametrize("form", FORMS)
def test_later_frames_count_through_the_mean_only(form, depth):
    net, cubes = net_of(attention=form, **depth), cubes_of()
    frames = net.prepare(cubes)
    later = net.prepare(torch.cat([cubes[:, :2], cubes_of(seed=1)[:, 2:]], dim=1))
    mean = frames.mean.mean(1)
    before, after = net.unroll(frames.steps(), mean), net.unroll(later.steps(), mean)
    assert torch.equal(before.logits[:, :2], after.logits[:, :2])
    assert (before.logits[:, 2:] - after.logits[:, 2:]).abs().max() > 1e-4


@pytest.mark.parametrize(
    "settings",
    [*({"attention": form, "lstm_layers": 2} for form in FORMS), {"pooling": "average"}, {"pooling": "max"}],
)
def test_frames_prepared_once_give_the_same_windows(settings):
    net, frames = net_of(**settings), cubes_of(1, 9)[0]
    rows = torch.tensor([[0, 1, 2, 3], [5, 6, 7, 8], [2, 3, 3, 3]])
    prepared = net.prepare(frames)
    found = net.unroll((prepared.select(of_step) for of_step in rows.T), prepared.mean[rows].mean(1))
    expected = net(frames[rows])
    torch.testing.assert_close(found.logits, expected.logits, rtol=0, atol=1e-13)
    if expected.attention is not None:
        torch.testing.assert_close(found.attention, expected.attention, rtol=0, atol=1e-13)


def test_evaluation_is_deterministic_and_training_is_not():
    net, cubes = net_of(dropout=0.5), cubes_of()
    assert torch.equal(net(cubes).logits, net(cubes).logits)
    net.train()
    assert not torch.equal(net(cubes).logits, net(cubes).logits)


class Watched:
    """Inputs of the layers of a network during one forward pass."""

    def __init__(self, net: SoftAttention):
        self.inputs: dict[str, list[Tensor]] = {}
        for name, module in net.named_modules():
            if not list(module.children()):
                module.register_forward_pre_hook(lambda _, given, name=name: self._keep(name, given[0]))

    def _keep(self, name: str, given: Tensor) -> None:
        self.inputs.setdefault(name, []).append(given.detach())

    def dropped(self) -> set[str]:
        """Layers of which about half of the inputs are zero."""
        shares = {name: (torch.stack(given) == 0).double().mean().item() for name, given in self.inputs.items()}
        assert all(share < 0.01 or 0.4 < share < 0.6 for share in shares.values()), shares
        return {name for name, share in shares.items() if share > 0.1}


OUTPUT = {"output_hidden", "output"}
INNER = {"layers.0.glimpse", "layers.1.glimpse", "layers.1.below"}


@pytest.mark.parametrize(("sites", "expected"), [("all", OUTPUT | INNER), ("output", OUTPUT)])
@pytest.mark.parametrize("pooling", ["attention", "average"])
def test_places_of_dropout(sites, expected, pooling):
    net = net_of(dropout=0.5, dropout_sites=sites, lstm_layers=2, pooling=pooling).train()
    watched = Watched(net)
    net(cubes_of(batch=40, steps=6))
    assert watched.dropped() == expected


def test_masks_differ_between_steps():
    net = net_of(dropout=0.5).train()
    watched = Watched(net)
    net(cubes_of(batch=40))
    (hidden,), glimpses = watched.inputs["output_hidden"], watched.inputs["layers.0.glimpse"]
    assert not torch.equal(hidden[:, 0] == 0, hidden[:, 1] == 0)
    assert not torch.equal(glimpses[0] == 0, glimpses[1] == 0)


def test_scale_of_dropout():
    """Released: a unit that is kept has its own size in training, and half of it in evaluation."""
    cubes = cubes_of(batch=200)
    for form, training, evaluation in (("inverted", 2, 1), ("released", 1, 0.5)):
        net = net_of(dropout=0.5, dropout_sites="output", dropout_form=form)
        plain, seen = Watched(net_of()), Watched(net)
        expected = net_of()
        expected.load_state_dict(net.state_dict())
        plain = Watched(expected)
        expected(cubes), net(cubes), net.train()(cubes)
        (whole,), (evaluated, trained) = plain.inputs["output_hidden"], seen.inputs["output_hidden"]
        torch.testing.assert_close(evaluated, whole * evaluation)
        kept = trained != 0
        torch.testing.assert_close(trained[kept], whole[kept] * training)


def test_probabilities():
    logits = torch.tensor([[0.0, 1.0, -1.0, 0.5, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(net_of().probabilities(logits), torch.softmax(logits, -1))
    torch.testing.assert_close(net_of(multi_label=True).probabilities(logits), torch.sigmoid(logits))


def test_the_projection_is_one_product_for_all_steps():
    net = net_of(attention_layers=2)
    watched = Watched(net)
    net(cubes_of())
    assert len(watched.inputs["layers.0.attention.frame"]) == 1
    assert len(watched.inputs["layers.0.recurrent"]) == 4


def test_an_empty_batch_has_zero_gradients():
    net = net_of()
    net(cubes_of(batch=0)).logits.sum().backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in net.parameters())
