"""Statistics of BatchNorm against slow loops and against torch's own training mode; everything else stays."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from attn.errors import UsageError
from attn.models.adapt import adapt, adapt_to_cache, check_adaptable, reestimate
from attn.models.backbone import Backbone, build_backbone
from attn.models.finetune import Normaliser

NORMALISE = Normaliser((0.5, 0.4, 0.3), (0.2, 0.25, 0.5), torch.device("cpu"))


@pytest.fixture
def backbone(randomise) -> Backbone:
    torch.manual_seed(0)
    net = randomise(build_backbone("small_cnn", 3))
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.num_batches_tracked.fill_(5)  # as of a network that was trained
    return net


def frames(count: int, seed: int = 0, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def normalised(*counts: int) -> list[torch.Tensor]:
    return [NORMALISE(torch.from_numpy(frames(count, seed))) for seed, count in enumerate(counts)]


def statistics(net: nn.Module) -> list[torch.Tensor]:
    layers = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    return [tensor.clone() for layer in layers for tensor in (layer.running_mean, layer.running_var)]


def by_hand(backbone: Backbone, batches: list[torch.Tensor]) -> list[np.ndarray]:
    """Mean and variance of the input of each BatchNorm layer, channel by channel, batches averaged."""
    found: list[list[list[float]]] = []
    for images in batches:
        activations, number = images, 0
        for layer in backbone.trunk.modules():
            if isinstance(layer, nn.Conv2d | nn.ReLU):
                activations = layer(activations)
            if isinstance(layer, nn.BatchNorm2d):
                values = activations.detach().double().numpy()
                normal = torch.empty_like(activations)
                means, variances = [], []
                for channel in range(values.shape[1]):
                    plane = values[:, channel].ravel()
                    mean = sum(plane) / len(plane)
                    squares = sum((plane - mean) ** 2)
                    means.append(mean)
                    variances.append(squares / (len(plane) - 1))
                    scale = layer.weight[channel].item() / math.sqrt(squares / len(plane) + layer.eps)
                    normal[:, channel] = (activations[:, channel] - mean) * scale + layer.bias[channel]
                activations = normal
                found[len(found) :] = [[], []] if number == len(found) else []
                found[number].append(means)
                found[number + 1].append(variances)
                number += 2
    return [np.mean(batches_of, axis=0) for batches_of in found]


def test_statistics_are_those_of_slow_loops(backbone: Backbone) -> None:
    batches = normalised(5, 5)
    expected = by_hand(backbone, batches)
    moved = reestimate(backbone, batches)
    assert (moved.frames, moved.channels) == (10, sum(len(one) for one in expected) // 2)
    assert len(expected) == 14
    for mine, theirs in zip(statistics(backbone), expected, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=2e-3, atol=2e-4)


def test_statistics_are_torchs_own_cumulative_average(backbone: Backbone) -> None:
    batches, theirs = normalised(8, 8, 8), copy.deepcopy(backbone)
    for layer in theirs.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
            layer.reset_running_stats()
    theirs.train()
    for images in batches:
        theirs(images)
    reestimate(backbone, batches)
    torch.testing.assert_close(statistics(backbone), statistics(theirs))


def test_how_far_they_moved(backbone: Backbone) -> None:
    batches = normalised(16)
    before = statistics(backbone)
    moved = reestimate(backbone, batches)
    after = statistics(backbone)
    (mean, variance), (new_mean, new_variance) = (
        (torch.cat(one[::2]), torch.cat(one[1::2]) + 1e-5) for one in (before, after)
    )
    larger = torch.where(variance > new_variance, variance, new_variance)
    assert moved.shift == pytest.approx(((mean - new_mean).abs() / larger.sqrt()).mean().item(), rel=1e-4)
    assert moved.factor == pytest.approx(math.exp((variance / new_variance).log().abs().mean().item()), rel=1e-4)
    assert moved.factor > 1.2
    again = reestimate(backbone, batches)
    assert (again.shift, again.factor) == pytest.approx((0, 1), abs=1e-6)


def test_no_other_weight_changes_and_modes_are_left_as_found(backbone: Backbone) -> None:
    backbone.head.train()
    layers = [layer for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)]
    layers[0].train()
    layers[1].momentum = 0.3
    modes = [module.training for module in backbone.modules()]
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    reestimate(backbone, normalised(8))
    assert [module.training for module in backbone.modules()] == modes
    assert [layer.momentum for layer in layers] == [0.1, 0.3, *[0.1] * 5]
    for name, tensor in backbone.state_dict().items():
        same = torch.equal(tensor, before[name])
        assert same != name.endswith(("running_mean", "running_var", "num_batches_tracked")), name
    assert not any(weight.grad_fn or weight.grad is not None for weight in backbone.parameters())


def test_modes_are_left_as_found_after_an_error(backbone: Backbone) -> None:
    with pytest.raises(RuntimeError):
        reestimate(backbone, [torch.zeros(2, 3, 0, 0)])
    assert not any(module.training for module in backbone.modules())


def test_layers_that_drop_at_random_drop_nothing(randomise) -> None:
    torch.manual_seed(0)
    net = randomise(build_backbone("efficientnet_b0", 3)).train()  # stochastic depth between its BatchNorm layers
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        reestimate(net, normalised(4))
        found.append(statistics(net))
    torch.testing.assert_close(*found, rtol=0, atol=0)


def test_batches_are_of_one_size_and_a_rest_is_dropped(backbone: Backbone) -> None:
    pixels, plain = frames(200), copy.deepcopy(backbone)
    rows = np.random.default_rng(1).permutation(200)[:150]
    assert adapt(backbone, pixels, rows, NORMALISE, batch_size=64).frames == 128
    reestimate(plain, [NORMALISE(torch.from_numpy(pixels[rows[i : i + 64]])) for i in (0, 64)])
    torch.testing.assert_close(statistics(backbone), statistics(plain), rtol=0, atol=0)


def test_a_rest_that_is_all_there_is_is_used(backbone: Backbone) -> None:
    moved = adapt(backbone, frames(40), np.arange(40), NORMALISE, batch_size=64, least_frames=32)
    assert moved.frames == 40


def test_a_sample_of_a_cache_depends_on_rows_and_seed_alone(backbone: Backbone, tmp_path: Path) -> None:
    pixels = np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=(400, 32, 32, 3))
    pixels[:] = frames(400)
    rows = np.arange(0, 400, 2)
    pixels[1::2] = 0  # not among the rows

    def adapted(rows: np.ndarray, **settings: int) -> list[torch.Tensor]:
        adapt_to_cache(net := copy.deepcopy(backbone), pixels, rows, NORMALISE, batch_size=32, **settings)
        return statistics(net)

    first = adapted(rows, frames=128, seed=3)
    torch.testing.assert_close(adapted(rows[::-1].copy(), frames=128, seed=3), first, rtol=0, atol=0)
    assert not torch.equal(adapted(rows, frames=128, seed=4)[0], first[0])
    assert not torch.equal(adapted(rows, frames=2000, seed=3)[0], first[0])
    plain = copy.deepcopy(backbone)
    adapt(plain, frames(400), np.random.default_rng(3).permutation(rows)[:128], NORMALISE, batch_size=32)
    torch.testing.assert_close(statistics(plain), first, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("pixels", "batch_size", "said"),
    [
        (frames(127), 64, "127 frames, too few for stable BatchNorm statistics. Give 128 frames or more"),
        (frames(200), 31, "--batch-size 31: too small"),
        (np.broadcast_to(frames(1), (200, 32, 32, 3)), 64, "all frames are alike"),
        (np.full((200, 32, 32, 3), 7, np.uint8) + (frames(200) > 250), 64, "all frames are alike"),
    ],
)
def test_frames_that_tell_nothing_are_refused(
    pixels: np.ndarray, batch_size: int, said: str, backbone: Backbone
) -> None:
    before = statistics(backbone)
    with pytest.raises(UsageError, match=said):
        adapt(backbone, pixels, np.arange(len(pixels)), NORMALISE, batch_size=batch_size)
    torch.testing.assert_close(statistics(backbone), before, rtol=0, atol=0)


def test_dark_frames_that_differ_are_taken(backbone: Backbone) -> None:
    adapt(backbone, frames(128) // 32, np.arange(128), NORMALISE)


def test_networks_without_statistics_are_refused(backbone: Backbone) -> None:
    check_adaptable(backbone, "cnn.pth")
    with pytest.raises(UsageError, match=r"cnn.pth: squeezenet1_0 has no BatchNorm"):
        check_adaptable(build_backbone("squeezenet1_0", 3), "cnn.pth")
    with pytest.raises(UsageError, match=r"cnn.pth: every BatchNorm mean is 0 and every variance is 1"):
        check_adaptable(build_backbone("small_cnn", 3), "cnn.pth")
    backbone.load_state_dict(build_backbone("small_cnn", 3).state_dict())
    next(layer for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)).running_var[0] = 1.1
    check_adaptable(backbone, "cnn.pth")


def test_no_batch_is_an_error(backbone: Backbone) -> None:
    with pytest.raises(ValueError, match="no batch"):
        reestimate(backbone, [])
    with pytest.raises(ValueError, match="has no BatchNorm"):
        reestimate(build_backbone("squeezenet1_0", 3), normalised(4))


def test_the_weights_that_are_folded(real_data: Path) -> None:
    from attn.models.checkpoint import load_weights

    with pytest.raises(UsageError, match="folded"):
        check_adaptable(load_weights(str(real_data / "weights/mobilenet_v2.pth"), "mobilenet_v2").backbone, "x")
