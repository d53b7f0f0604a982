"""Backbones of clips: cuts, strides and widths against torchvision, flow stems, and weights that do not fit."""

import pytest
import torch

from attn.errors import UsageError
from attn.models.attention_distillation import AttentionModule
from attn.models.clip_backbone import CLIP_BACKBONES, ClipBackbone, map_shape
from attn.models.torchvision_models import load_torchvision

pytestmark = pytest.mark.usefixtures("one_thread")
TORCHVISION = [name for name in CLIP_BACKBONES if name != "small_clip_cnn"]
SPECIFIED = {"r3d_18": (2, 7, 7), "mc3_18": (16, 7, 7), "r2plus1d_18": (2, 7, 7), "s3d": (2, 7, 7)}


@pytest.mark.parametrize("name", TORCHVISION)
def test_pooled_features_give_torchvisions_logits(name):
    torch.manual_seed(0)
    net = load_torchvision().get_model(name, weights=None, num_classes=5).eval()
    backbone = ClipBackbone(name).eval()
    backbone.import_weights("weights", net.state_dict())
    clips = torch.randn(1, 3, 8, 32, 32)
    if name == "s3d":
        net.avgpool = torch.nn.AdaptiveAvgPool3d(1)  # its own takes 224 pixels
        head = torch.nn.Sequential(net.avgpool, net.classifier, torch.nn.Flatten())
    else:
        head = torch.nn.Sequential(net.avgpool, torch.nn.Flatten(), net.fc)
    with torch.inference_mode():
        assert torch.equal(head(backbone(clips).late), net(clips))


@pytest.mark.parametrize("name", CLIP_BACKBONES)
@pytest.mark.parametrize("kernel_t", [1, 3])
def test_attention_has_the_shape_of_block_5(name, kernel_t):
    plan, side = CLIP_BACKBONES[name], CLIP_BACKBONES[name].side
    with torch.device("meta"):
        backbone = ClipBackbone(name).eval()
        early, late = backbone(torch.empty(2, 3, 16, side, side))
        logits = AttentionModule(backbone.early_channels, backbone.stride, kernel_t=kernel_t, hidden=6)(early)
    assert (early.shape[1], late.shape[1]) == plan.channels
    assert logits.shape[1:] == late.shape[2:] == SPECIFIED.get(name, (4, 8, 8))
    assert map_shape(name, (16, side, side)) == tuple(late.shape[2:])
    assert tuple(a // b for a, b in zip(early.shape[2:], late.shape[2:], strict=True)) == backbone.stride


@pytest.mark.parametrize("name", CLIP_BACKBONES)
def test_a_flow_network_averages_the_first_convolution(name):
    rgb, flow = ClipBackbone(name), ClipBackbone(name, "flow")
    flow.import_weights("weights", rgb.net.state_dict())
    grey = torch.randn(1, 1, 8, 64, 64)
    layers = [next(one for one in net.modules() if isinstance(one, torch.nn.Conv3d)) for net in (rgb, flow)]
    # Equal channels give RGB's result times 2 / 3.
    torch.testing.assert_close(
        layers[0](grey.expand(-1, 3, -1, -1, -1)) * 2 / 3, layers[1](grey.expand(-1, 2, -1, -1, -1))
    )
    others = [{key: one for key, one in net.net.state_dict().items() if one.shape[1:2] != (2,)} for net in (rgb, flow)]
    assert all(torch.equal(others[0][key], others[1][key]) for key in others[1] if "num_batches" not in key)


def test_weights_that_do_not_fit_are_refused():
    weights = ClipBackbone("mc3_18").net.state_dict()
    with pytest.raises(UsageError, match=r"w.pth: the weights do not fit small_clip_cnn \(missing: .*--backbone"):
        ClipBackbone("small_clip_cnn").import_weights("w.pth", weights)
    first = weights["stem.0.weight"]
    for change, word in (({"more": first}, "unknown: more"), ({"stem.0.weight": first[:3]}, "another shape: stem.0")):
        with pytest.raises(UsageError, match=word):
            ClipBackbone("mc3_18").import_weights("w.pth", weights | change)


def test_names_and_sizes_are_checked():
    with pytest.raises(UsageError, match=r"unknown backbone of clips\. Choose one of r3d_18"):
        ClipBackbone("resnet18")
    with pytest.raises(UsageError, match="1 frames of 8×8 pixels: too few for s3d"):
        map_shape("s3d", (1, 8, 8))
