"""Channels of the map layer get back the spread of Web images, without another layer."""

import pytest
import torch

from attn.errors import UsageError
from attn.maps.gradcam import attention_maps
from attn.models.backbone import Backbone, build_backbone
from attn.stages.align import MOST, reader, rescale, spread


@pytest.fixture(params=["squeezenet1_0", "vgg16", "small_cnn"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    torch.manual_seed(0)
    return build_backbone(request.param, 3).eval()


def test_logits_and_maps_are_those_of_rescaled_activations(backbone: Backbone) -> None:
    with torch.no_grad():
        activations = backbone.trunk(torch.rand(2, 3, 64, 64))
    factors = torch.rand(activations.shape[1]) + 0.5
    maps, logits = attention_maps(activations * factors[:, None, None], backbone.head)
    rescale(reader(backbone, "cnn"), factors.double(), torch.ones(len(factors), dtype=torch.float64))
    found_maps, found_logits = attention_maps(activations, backbone.head)
    torch.testing.assert_close(found_logits, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found_maps, maps, rtol=1e-3, atol=1e-3 * float(maps.max()))


def test_the_spread_is_that_over_all_images_and_places() -> None:
    torch.manual_seed(0)
    backbone = build_backbone("small_cnn", 3).eval()
    batches = [torch.rand(4, 3, 64, 64), torch.rand(2, 3, 64, 64)]
    found, images = spread(backbone, batches)
    with torch.no_grad():
        activations = backbone.trunk(torch.cat(batches)).double()
    assert images == 6
    torch.testing.assert_close(found, activations.transpose(0, 1).flatten(1).std(1, correction=0), rtol=1e-5, atol=1e-9)


def test_a_silent_channel_stays_and_factors_are_bounded() -> None:
    layer = torch.nn.Linear(4, 2)
    before = layer.weight.detach().clone()
    wanted, found = torch.tensor([1.0, 0, 1, 1000]).double(), torch.tensor([2.0, 1, 0, 1]).double()
    factor = rescale(layer, wanted, found)
    assert torch.allclose(layer.weight, before * torch.tensor([0.5, 1, 1, MOST]))
    assert factor == pytest.approx((2 * MOST) ** 0.25)


def test_a_head_that_begins_otherwise_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cnn\.pth: convnext_tiny has no BatchNorm, and its head has no layer"):
        reader(build_backbone("convnext_tiny", 3), "cnn.pth")
