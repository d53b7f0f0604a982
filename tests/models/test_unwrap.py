import copy
import logging
import re

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torchvision import models as tv

from attn.errors import UsageError
from attn.models.checkpoint import load_weights

ACTIONS = ("kiss", "hug", "wave")


@pytest.fixture(scope="module")
def net(randomise) -> nn.Module:
    torch.manual_seed(3)
    return randomise(tv.resnet18(num_classes=3))


@pytest.fixture(scope="module")
def other(net) -> nn.Module:
    """The same network after some training."""
    trained = copy.deepcopy(net)
    with torch.no_grad():
        for weight in trained.parameters():
            weight += 1
    return trained


def prefixed(prefix: str, net: nn.Module) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in net.state_dict().items()}


def compiled_within(net: nn.Module) -> dict[str, torch.Tensor]:
    """One block compiled, another checkpointed, as `_orig_mod.` and the like in the middle of names."""
    return {
        name.replace("layer1.", "layer1._orig_mod.").replace(
            "layer2.0.", "layer2.0._checkpoint_wrapped_module."
        ): tensor
        for name, tensor in net.state_dict().items()
    }


WRAPPED = {
    "DataParallel": (lambda net: nn.DataParallel(net).state_dict(), "module.conv1.weight is read as conv1.weight"),
    "compiled": (lambda net: torch.compile(net).state_dict(), "_orig_mod.conv1.weight is read as conv1.weight"),
    "compiled and parallel": (
        lambda net: nn.DataParallel(torch.compile(net)).state_dict(),
        "module._orig_mod.conv1.weight is read as",
    ),
    "compiled within": (compiled_within, r"layer1._orig_mod.0.conv1.weight is read as layer1.0.conv1.weight"),
    "an average": (lambda net: AveragedModel(net).state_dict(), "Skipped: n_averaged"),
    "Lightning": (
        lambda net: {"state_dict": prefixed("model.", net) | {"loss.weight": torch.ones(3)}, "epoch": 3},
        "state_dict.model.conv1.weight is read as conv1.weight. .*state_dict.loss.weight",
    ),
    "any attribute": (lambda net: prefixed("my.own.net.", net), "my.own.net.conv1.weight is read as"),
    "under a key": (lambda net: {"model": net.state_dict(), "epoch": 3}, "model.conv1.weight is read as"),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_what_wrapped_a_network_is_taken_off_and_named(net, tmp_path, caplog, how):
    wrap, said = WRAPPED[how]
    torch.save(wrap(net), tmp_path / "net.pth")
    with caplog.at_level(logging.INFO, "attn"):
        loaded = load_weights(str(tmp_path / "net.pth"), "resnet18", ACTIONS).backbone.export_weights()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in net.state_dict().items())
    assert len(caplog.messages) == 1
    assert re.search(said, caplog.text)


def test_a_plain_network_says_nothing(net, tmp_path, caplog):
    torch.save(net.state_dict(), tmp_path / "net.pth")
    with caplog.at_level(logging.INFO, "attn"):
        load_weights(str(tmp_path / "net.pth"), "resnet18", ACTIONS)
    assert not caplog.messages


@pytest.mark.parametrize(
    "content",
    [
        lambda net, mean: {"model": net.state_dict(), "model_ema": AveragedModel(mean).state_dict()},
        lambda net, mean: {"state_dict": net.state_dict(), "state_dict_ema": mean.state_dict()},
        lambda net, mean: prefixed("online_model.", net) | prefixed("ema_model.", mean),
        lambda net, mean: net.state_dict() | prefixed("averaged.", mean),
    ],
)
def test_the_average_of_a_networks_weights_goes_before_the_last_ones(net, other, tmp_path, caplog, content):
    torch.save(content(net, other), tmp_path / "net.pth")
    with caplog.at_level(logging.INFO, "attn"):
        loaded = load_weights(str(tmp_path / "net.pth"), "resnet18", ACTIONS)
    assert torch.equal(loaded.backbone.classifier.weight, other.fc.weight)
    assert "conv1.weight is read as conv1.weight" in caplog.text
    assert re.search(r"Skipped: .* and 1(19|20) more", caplog.text)


def test_of_two_networks_neither_is_guessed(net, other, tmp_path):
    torch.save(prefixed("encoder_q.", net) | prefixed("encoder_k.", other), tmp_path / "net.pth")
    with pytest.raises(UsageError, match=r"net\.pth: contains 2 networks, under encoder_q\., encoder_k\.\. Save"):
        load_weights(str(tmp_path / "net.pth"), "resnet18", ACTIONS)


def test_a_network_with_and_without_its_wrapper_is_not_guessed(net, other, tmp_path):
    both = net.state_dict() | {"layer1.module.0.conv1.weight": other.layer1[0].conv1.weight}
    torch.save(both, tmp_path / "net.pth")
    with pytest.raises(UsageError, match=r"net\.pth: contains layer1\.0\.conv1\.weight with and without a wrapper"):
        load_weights(str(tmp_path / "net.pth"), "resnet18", ACTIONS)


def test_a_wrapped_network_of_another_kind_is_named_with_its_prefix(net, tmp_path):
    torch.save({"state_dict": prefixed("model.", net)}, tmp_path / "net.pth")
    with pytest.raises(UsageError, match=r"under state_dict\.model\. do not fit resnet34 \(missing layer1\.2"):
        load_weights(str(tmp_path / "net.pth"), "resnet34", ACTIONS)
    with pytest.raises(UsageError, match=r"unknown state_dict\.model\.conv1\.weight.*\. Give the right --backbone"):
        load_weights(str(tmp_path / "net.pth"), "vgg16", ACTIONS)


def test_a_wrapped_trunk_starts_a_training(net, tmp_path):
    trunk = {name: tensor for name, tensor in prefixed("backbone.", net).items() if ".fc." not in name}
    torch.save(trunk, tmp_path / "net.pth")
    started = load_weights(str(tmp_path / "net.pth"), "resnet18", ACTIONS, new_classifier=True)
    assert started.new_classifier
    assert torch.equal(started.backbone.export_weights()["conv1.weight"], net.conv1.weight)


def test_half_of_a_data_parallel_network_is_unwrapped(tmp_path):
    """As the VGGs of PyTorch's ImageNet example: `features` alone is parallel."""
    net = tv.mobilenet_v2(num_classes=3, width_mult=0.35)
    net.features = nn.DataParallel(net.features)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    loaded = load_weights(str(tmp_path / "net.pth"), "mobilenet_v2_w035", ACTIONS).backbone.export_weights()
    assert torch.equal(loaded["features.0.0.weight"], net.state_dict()["features.module.0.0.weight"])
