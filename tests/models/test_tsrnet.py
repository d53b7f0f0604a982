import dataclasses

import pytest
import torch

from attn.errors import UsageError
from attn.models.tsrnet import Architecture, Tsrnet
from attn.models.tsrnet_file import TrainedTsrnet, load_start, load_tsrnet, save_tsrnet

SIZES = Architecture(num_classes=4, num_channels=6, attention_dim=5, hidden_dim=3)


def new(**change):
    torch.manual_seed(0)
    return Tsrnet(dataclasses.replace(SIZES, **change)).double()


def features(seed=0, videos=2, samples=7):
    return torch.randn(videos, samples, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_equals_the_equations():
    net, values = new(), features()
    weights = dict(net.named_parameters())
    for video, attention, mean, hidden in zip(values, *net.attend(values), strict=True):
        logits = weights["weigh.weight"][0] @ torch.tanh(weights["project.weight"] @ video.T)
        torch.testing.assert_close(attention, logits.exp() / logits.exp().sum())
        torch.testing.assert_close(mean, video.T @ attention)
        torch.testing.assert_close(hidden, (weights["reduce.weight"] @ mean + weights["reduce.bias"]).clamp(min=0))
    assert sorted(weights) == sorted(
        ("project.weight", "weigh.weight", "reduce.weight", "reduce.bias", "classify.weight", "classify.bias")
    )


@pytest.mark.parametrize("attention", ["softmax", "sigmoid", "average"])
def test_order_repeats_and_padding_do_not_matter(attention):
    net, values = new(attention=attention), features()
    attended, order = net.attend(values), torch.randperm(7, generator=torch.Generator().manual_seed(1))
    moved = net.attend(values[:, order])
    torch.testing.assert_close(moved.attention, attended.attention[:, order])
    torch.testing.assert_close(moved.hidden, attended.hidden)
    torch.testing.assert_close(net.attend(values.repeat_interleave(2, 1)).mean, attended.mean)
    real = torch.arange(9) < torch.tensor([[7], [7]])
    padded = net.attend(torch.cat([values, torch.full((2, 2, 6), 9.0)], 1), real)
    torch.testing.assert_close(padded.mean, attended.mean)
    torch.testing.assert_close(padded.attention[:, :7], attended.attention)
    assert (padded.attention[:, 7:] == 0).all()


def test_weights_add_up_to_one_and_equal_samples_share_them():
    net = new()
    attention = net.attend(features()).attention
    assert (attention > 0).all()
    torch.testing.assert_close(attention.sum(1), torch.ones(2, dtype=torch.float64))
    same = net.attend(features(samples=1).expand(2, 5, 6))
    torch.testing.assert_close(same.attention, torch.full((2, 5), 0.2, dtype=torch.float64))
    torch.testing.assert_close(same.mean, features(samples=1)[:, 0])


def test_without_attention_the_mean_enters_the_classifier():
    attended = new(attention="average").attend(features())
    torch.testing.assert_close(attended.mean, features().mean(1))


def trained(net):
    return TrainedTsrnet(net.float().eval(), ("A", "B", "C", "D"), 400, "small_cnn", "0" * 16, {"videos": 3})


def test_a_file_gives_the_same_network(tmp_path):
    net = new()
    save_tsrnet(str(tmp_path), trained(net))
    for url in (tmp_path, tmp_path / "tsrnet.safetensors"):
        found = load_tsrnet(str(url))
        assert (found.class_names, found.num_samples, found.trained) == (("A", "B", "C", "D"), 400, {"videos": 3})
        assert torch.equal(found.net(features().float())[0], net(features().float())[0])


@pytest.mark.parametrize(
    "change", [{"hidden_dim": 7}, {"num_classes": 5}, {"attention": "average"}, {"attention_dim": 1 << 40}], ids=str
)
def test_a_file_whose_description_does_not_fit_its_tensors_is_refused(tmp_path, change):
    net = new()
    net.architecture = dataclasses.replace(net.architecture, **change)
    save_tsrnet(str(tmp_path), trained(net))
    with pytest.raises(UsageError, match="not a TSRNet, or incomplete"):
        load_tsrnet(str(tmp_path))


def test_a_start_keeps_its_own_classifier():
    start, net = new(), new(num_classes=9)
    torch.nn.init.ones_(start.reduce.weight)
    classifier = net.classify.weight.clone()
    load_start(net, start)
    assert torch.equal(net.reduce.weight, start.reduce.weight)
    assert torch.equal(net.project.weight, start.project.weight)
    assert torch.equal(net.classify.weight, classifier)
    with pytest.raises(RuntimeError):
        load_start(new(hidden_dim=8), start)
