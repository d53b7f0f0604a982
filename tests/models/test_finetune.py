import copy
import math

import pytest
import torch
import torch.nn.functional as F

from attn.models.backbone import build_backbone
from attn.models.finetune import (
    Batch,
    Normaliser,
    Tally,
    Validation,
    make_optimizer,
    set_rates,
    train_mode,
    update,
    validate,
)

CPU = torch.device("cpu")
NORMALISE = Normaliser((0.5, 0.4, 0.3), (0.2, 0.25, 0.5), CPU)


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return build_backbone("small_cnn", 3)


def images(count, seed=0):
    return torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def optimizer_of(backbone, fresh=None, **settings):
    return make_optimizer(
        backbone, fresh, **{"lr": 0.1, "fresh_lr": 0.5, "momentum": 0.9, "weight_decay": 5e-4} | settings
    )


def test_pixels_become_what_the_network_was_trained_on():
    (image,) = NORMALISE(torch.tensor([[[[255, 0, 51]]]], dtype=torch.uint8))
    torch.testing.assert_close(image.flatten(), torch.tensor([(1 - 0.5) / 0.2, -0.4 / 0.25, (0.2 - 0.3) / 0.5]))
    assert NORMALISE(images(2)).is_contiguous(memory_format=torch.channels_last)


def test_one_update_is_momentum_sgd_on_the_mean_cross_entropy(backbone):
    before = copy.deepcopy(backbone)
    optimizer, batch = optimizer_of(backbone), Batch(images(4), torch.tensor([0, 1, 2, 0]), total=4)
    for module in (backbone, before):
        train_mode(module, freeze_batchnorm=True)
    for number in range(2):
        set_rates(optimizer, number, 2)
        update(backbone, optimizer, NORMALISE, batch)
    speeds = [torch.zeros_like(weight) for weight in before.parameters()]
    for rate in (0.1, 0.1):  # two of two updates, both in the first two thirds
        loss = F.cross_entropy(before(NORMALISE(batch.images)), batch.labels)
        gradients = torch.autograd.grad(loss, list(before.parameters()))
        with torch.no_grad():
            for weight, gradient, speed in zip(before.parameters(), gradients, speeds, strict=True):
                speed.mul_(0.9).add_(gradient + 5e-4 * weight)
                weight.sub_(rate * speed)
    for mine, expected in zip(backbone.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sizes", [(2, 3), (1, 4), (5,)])
def test_unequal_shares_average_to_the_gradient_of_the_batch(backbone, sizes):
    pixels, labels = images(5), torch.tensor([0, 1, 2, 1, 0])
    train_mode(backbone, freeze_batchnorm=True)
    loss = F.cross_entropy(backbone(NORMALISE(pixels)), labels)
    expected = torch.autograd.grad(loss, list(backbone.parameters()))
    still = optimizer_of(backbone, lr=0.0)
    mean = [torch.zeros_like(weight) for weight in backbone.parameters()]
    for share, answers in zip(pixels.split(sizes), labels.split(sizes), strict=True):
        set_rates(still, 0, 1)
        update(backbone, still, NORMALISE, Batch(share, answers, total=5), workers=len(sizes))
        mean = [total + weight.grad / len(sizes) for total, weight in zip(mean, backbone.parameters(), strict=True)]
    for mine, whole in zip(mean, expected, strict=True):
        torch.testing.assert_close(mine, whole, rtol=1e-4, atol=1e-6)


def test_an_update_tells_loss_and_correct_answers_before_it(backbone):
    pixels = images(6)
    train_mode(backbone, freeze_batchnorm=True)
    logits = backbone(NORMALISE(pixels)).detach()
    labels = logits.argmax(dim=1)
    labels[0] = (labels[0] + 1) % 3
    losses = F.cross_entropy(logits, labels, reduction="none")
    for mixed, correct in ((0, 5.0), (2, 3.0)):
        batch, own = Batch(pixels, labels, total=6, mixed=mixed), 6 - mixed
        told = update(copy.deepcopy(backbone), optimizer_of(backbone), NORMALISE, batch)
        torch.testing.assert_close(told, torch.stack([losses[:own].sum(), torch.tensor(correct), losses[own:].sum()]))


def test_a_drawn_classifier_learns_at_its_own_rate_and_all_rates_fall_after_two_thirds(backbone):
    optimizer = optimizer_of(backbone, backbone.classifier)
    assert {id(w) for w in optimizer.param_groups[1]["params"]} == {id(w) for w in backbone.classifier.parameters()}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(backbone.parameters()))
    rates = []
    for number in range(6):
        set_rates(optimizer, number, 6)
        rates.append([group["lr"] for group in optimizer.param_groups])
    assert rates == [pytest.approx([0.1, 0.5])] * 4 + [pytest.approx([0.01, 0.05])] * 2


@pytest.mark.parametrize(
    ("decay_after", "decay", "expected"),
    [
        (0.5, 0.1, [1, 1, 1, 0.1, 0.1, 0.1]),
        (0.0, 0.5, [0.5] * 6),
        (1.0, 0.1, [1] * 6),
        (0.6, 0.2, [1, 1, 1, 1, 0.2, 0.2]),
    ],
)
def test_when_and_how_far_rates_fall_is_a_choice(backbone, decay_after, decay, expected):
    optimizer, rates = optimizer_of(backbone, backbone.classifier), []
    for number in range(6):
        set_rates(optimizer, number, 6, decay_after=decay_after, decay=decay)
        rates.append([group["lr"] for group in optimizer.param_groups])
    assert rates == [pytest.approx([0.1 * part, 0.5 * part]) for part in expected]


@pytest.mark.parametrize(
    ("updates", "warmup", "expected"),
    [
        (16, 4, [0.25, 0.5, 0.75, 1, 1]),
        (16, 0, [1, 1, 1, 1, 1]),
        (16, 50, [0.25, 0.5, 0.75, 1, 1]),  # a quarter of all at most
        (3, 50, [1, 1, 0.1]),
    ],
)
def test_rates_rise_from_zero_first(backbone, updates, warmup, expected):
    optimizer, rates = optimizer_of(backbone, backbone.classifier), []
    for number in range(len(expected)):
        set_rates(optimizer, number, updates, warmup=warmup)
        rates.append([group["lr"] for group in optimizer.param_groups])
    assert rates == [pytest.approx([0.1 * part, 0.5 * part]) for part in expected]


@pytest.mark.parametrize("part", [0.5, 2.0])
def test_a_gradient_that_is_too_long_is_shortened_and_no_other(backbone, part):
    """By the length of all weights together."""
    batch, lengths, steps = Batch(images(4), torch.tensor([0, 1, 2, 0]), total=4), [], []
    for clip in (lambda length: 0.0, lambda length: part * length):
        trained = copy.deepcopy(backbone)
        train_mode(trained, freeze_batchnorm=True)
        optimizer = optimizer_of(trained, momentum=0.0, weight_decay=0.0)
        set_rates(optimizer, 0, 1)
        update(trained, optimizer, NORMALISE, batch, clip_norm=clip(sum(lengths)))
        pairs = zip(backbone.parameters(), trained.parameters(), strict=True)
        steps.append(torch.cat([(before - after).flatten() / 0.1 for before, after in pairs]))
        lengths.append(steps[-1].norm().item())
    torch.testing.assert_close(steps[1], min(part, 1.0) * steps[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("everything_fresh", "rate"), [(True, 0.5), (False, 0.1)])
def test_one_rate_when_all_or_nothing_was_drawn(backbone, everything_fresh, rate):
    optimizer = optimizer_of(backbone, backbone if everything_fresh else None)
    set_rates(optimizer, 0, 3)
    assert [group["lr"] for group in optimizer.param_groups] == [rate]


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_batchnorm_keeps_its_statistics_and_learns_its_scale(backbone, frozen):
    train_mode(backbone, freeze_batchnorm=frozen)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    optimizer = optimizer_of(backbone)
    set_rates(optimizer, 0, 1)
    update(backbone, optimizer, NORMALISE, Batch(images(4), torch.tensor([0, 1, 2, 0]), total=4))
    after = backbone.state_dict()
    statistics = [name for name in after if "running" in name]
    scales = [name for name in after if name.replace("running_mean", "weight") in after and "running" not in name]
    assert statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics) is frozen
    assert any(not torch.equal(before[name], after[name]) for name in scales)


def test_validation_sums_over_batches_and_changes_nothing(backbone):
    pixels, before = images(7), copy.deepcopy(backbone.state_dict())
    with torch.no_grad():
        logits = backbone.eval()(NORMALISE(pixels))
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    batches = [Batch(pixels[:4], labels[:4], 4), Batch(pixels[4:], labels[4:], 3)]
    tally = validate(backbone, NORMALISE, batches)
    assert tally.images == 7
    assert tally.accuracy == pytest.approx((logits.argmax(dim=1) == labels).float().mean().item())
    assert tally.mean_loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.state_dict().items())


def test_validation_shows_what_is_dead_and_what_gets_one_class(backbone):
    last = [layer for layer in backbone.trunk.modules() if isinstance(layer, torch.nn.BatchNorm2d)][-1]
    with torch.no_grad():
        last.weight[:48].fill_(0)
        last.bias[:48].fill_(-1)  # the ReLU behind it makes zero of it
        backbone.classifier.weight.fill_(0)
        backbone.classifier.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    batches = [Batch(images(4, seed), torch.tensor([0, 1, 2, 0]), 4) for seed in range(2)]
    found = validate(backbone, NORMALISE, batches)
    assert found.predicted == (0, 8, 0)
    assert found.largest_class_share == 1
    assert found.dead_channels == pytest.approx(48 / 192, abs=0.05)
    with torch.no_grad():
        backbone.classifier.bias.zero_()
        backbone.classifier.weight.normal_(generator=torch.Generator().manual_seed(0))
    whole, *parts = (validate(backbone, NORMALISE, some) for some in (batches, batches[:1], batches[1:], []))
    together = Validation.together(parts)
    assert (together.predicted, together.images, together.correct) == (whole.predicted, 8, whole.correct)
    assert together.strongest == whole.strongest
    assert together.loss == pytest.approx(whole.loss)
    nothing = Validation.together([parts[-1]])
    assert math.isnan(nothing.dead_channels)
    assert math.isnan(nothing.largest_class_share)


def test_an_empty_tally_has_no_mean():
    assert Tally().accuracy != Tally().accuracy
    assert Tally().mean_loss != Tally().mean_loss
