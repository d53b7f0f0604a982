"""Networks of clips with attention maps: closed values, limits, noise, gradients, and size against a plain network."""

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from attn.losses.attention_kl import attention_kl
from attn.models.attention_distillation import (
    ClipArchitecture,
    ClipCnn,
    attention_weights,
    gumbel,
    pooled,
)

pytestmark = pytest.mark.usefixtures("one_thread")
STUDENT = ClipArchitecture("small_clip_cnn", "rgb", num_classes=5)
TEACHER = dataclasses.replace(STUDENT, modality="flow", num_maps=1)
PLAIN = dataclasses.replace(STUDENT, num_maps=0)
K4, K5 = 48, 64


def net_of(architecture: ClipArchitecture, **change) -> ClipCnn:
    torch.manual_seed(0)
    return ClipCnn(dataclasses.replace(architecture, **change))


def clips_of(channels: int = 3, count: int = 2, side: int = 32) -> torch.Tensor:
    return torch.randn(count, channels, 8, side, side, generator=torch.Generator().manual_seed(1))


def features(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def test_weights_are_a_distribution_over_the_cells_of_each_step():
    weights = attention_weights(9 * features(2, 6, 3, 4, 5), 0.5)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum((3, 4)), torch.ones(2, 6, 3, dtype=torch.float64))


def test_uniform_logits_are_average_pooling():
    late = features(2, 6, 3, 4, 5)
    found = pooled(attention_weights(torch.full((2, 1, 3, 4, 5), 3.0, dtype=torch.float64), 1.0), late)
    torch.testing.assert_close(found, late.mean((2, 3, 4)), rtol=0, atol=1e-15)


def test_temperature_limits():
    logits, late = features(2, 1, 3, 4, 5), features(2, 6, 3, 4, 5).flip(1)
    cold, hot = (pooled(attention_weights(logits, temperature), late) for temperature in (1e-6, 1e9))
    torch.testing.assert_close(hot, late.mean((2, 3, 4)), rtol=0, atol=1e-6)
    best = logits.flatten(3).argmax(-1, keepdim=True).expand(-1, 6, -1, -1)
    torch.testing.assert_close(cold, late.flatten(3).gather(3, best).squeeze(3).mean(2))


def test_gumbel_frequencies_are_those_of_the_softmax():
    uniform = torch.rand(400_000, 3, generator=torch.Generator().manual_seed(0))
    winners = (torch.tensor([0.0, 1.0, 2.0]) + gumbel(uniform)).argmax(1)
    shares = torch.bincount(winners, minlength=3) / len(uniform)
    assert shares.tolist() == pytest.approx([0.0900, 0.2447, 0.6652], abs=0.003)


def test_gumbel_noise_is_finite_at_the_ends():
    largest = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    assert torch.isfinite(gumbel(torch.stack([torch.tensor(0.0), largest]))).all()


def test_mean_of_many_cold_masks_is_the_softmax():
    """A temperature of almost 0 makes each mask a sample; 2048 channels are 2048 samples."""
    logits = features(1, 1, 2, 3, 3).float()
    uniform = torch.rand(1, 2048, 2, 3, 3, generator=torch.Generator().manual_seed(3))
    shares = attention_weights(logits + gumbel(uniform), 1e-6).mean(1, keepdim=True)
    p = attention_weights(logits, 1.0)
    assert ((shares - p).abs() <= 4 * (p * (1 - p) / 2048).sqrt()).all()


def test_training_draws_a_mask_per_channel_and_evaluation_none():
    net, clips = net_of(STUDENT, dropout=0.0), clips_of()
    shapes = []

    def uniform(shape, *, device):
        shapes.append(tuple(shape))
        return torch.rand(shape, device=device)

    with torch.no_grad():
        first, second = net(clips, uniform).logits, net(clips, uniform).logits
        assert shapes == [(2, K5, 2, 4, 4)] * 4  # motion and appearance, a mask for each channel
        assert not torch.equal(first, second)
        net.eval()
        assert torch.equal(net(clips, uniform).logits, net(clips).logits)
    assert len(shapes) == 4


def test_soft_attention_has_no_noise():
    net, clips = net_of(STUDENT, attention="soft", dropout=0.0), clips_of()
    with torch.no_grad():
        assert torch.equal(net(clips).logits, net(clips).logits)


def test_maps_have_no_noise_even_in_training():
    net, clips = net_of(STUDENT), clips_of()
    with torch.no_grad():
        assert torch.equal(net(clips).attention, net(clips).attention)


def test_a_student_adds_two_small_convolutions_and_a_wider_classifier():
    def count(net):
        return sum(weight.numel() for weight in net.parameters())

    student, plain = net_of(STUDENT), net_of(PLAIN)
    assert count(student) - count(plain) == 2 * 9 * K4 + K5 * 5
    assert count(net_of(STUDENT, fusion="mean")) - count(plain) == 2 * 9 * K4
    assert not [name for name, _ in student.named_parameters() if "teacher" in name or "flow" in name]


def test_a_student_computes_two_small_convolutions_more():
    def flops(net):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net.eval()(clips_of(count=1))
        return counter.get_total_flops()

    cells = 2 * 4 * 4
    assert flops(net_of(STUDENT)) - flops(net_of(PLAIN)) == 2 * (2 * 9 * K4 * cells + K5 * 5)


@pytest.mark.parametrize("fusion", ["concat", "mean"])
@pytest.mark.parametrize("num_maps", [0, 1, 2])
def test_evaluation_equals_its_formula(fusion, num_maps):
    net = net_of(STUDENT, fusion=fusion, num_maps=num_maps, hidden_layer=True, attention_hidden=7, temperature=2.0)
    torch.nn.init.normal_(net.classifier.bias)
    net.eval()
    with torch.no_grad():
        early, late = net.backbone(clips_of())
        weights = [torch.softmax(module(early).flatten(2) / 2, -1) for module in net.attentions.values()]
        if not weights:
            weights = [torch.full((2, 2, 16), 1 / 16)]
        if fusion == "mean":
            weights = [sum(weights) / len(weights)]
        vectors = [torch.einsum("nth,ncth->nc", one, late.flatten(3)) / 2 for one in weights]
        expected = net.classifier(torch.relu(net.hidden(torch.cat(vectors, 1))))
        torch.testing.assert_close(net(clips_of()).logits, expected)


def test_the_divergence_reaches_only_the_motion_branch_and_the_backbone():
    student, teacher = net_of(STUDENT), net_of(TEACHER).eval()
    target = teacher(clips_of(channels=2)).attention[:, 0]
    attention_kl(student(clips_of()).attention[:, 0], target).sum().backward()
    assert student.attentions["motion"].score.weight.grad.abs().max() > 0
    assert not student.attentions["appearance"].score.weight.grad.any()
    assert student.classifier.weight.grad is None
    assert all(weight.grad is None for weight in teacher.parameters())


def test_without_divergence_the_motion_branch_learns_from_the_classes():
    net = net_of(STUDENT)
    torch.nn.functional.cross_entropy(net(clips_of()).logits, torch.tensor([0, 1])).backward()
    assert net.attentions["motion"].score.weight.grad.abs().max() > 0


def test_odd_lengths_are_refused_if_block_5_pools_without_padding():
    with torch.device("meta"):
        net = ClipCnn(dataclasses.replace(STUDENT, backbone="s3d"))
        with pytest.raises(ValueError, match=r"attention of \(2, 7, 7\) for features of \(1, 7, 7\)"):
            net(torch.empty(1, 3, 10, 224, 224))
