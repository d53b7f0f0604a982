"""Networks of timm: one of each kind of features and head, and all families for the long run."""

import copy
import pickle
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from attn.errors import UsageError
from attn.maps.gradcam import GradCam
from attn.models.backbone import build_backbone
from attn.models.timm_split import TimmTrunk
from tests.models.timm_pairs import NUM_CLASSES, gradcam, pair


class Net(NamedTuple):
    """Network, side lengths of the image and of the grid, route to its maps, and channels that the maps weight."""

    name: str
    image: tuple[int, int]
    grid: tuple[int, int]
    route: str
    chan: int
    settings: dict = {}  # noqa: RUF012  with which timm builds it for this image


KINDS = [
    Net("test_resnet", (64, 96), (2, 3), "pool_linear", 128),
    Net("dla46x_c", (64, 96), (2, 3), "pool_linear", 256),  # its classifier is a convolution
    Net("test_convnext", (64, 96), (2, 3), "vjp", 64),  # LayerNorm after pooling
    Net("lcnet_050", (64, 96), (2, 3), "vjp", 256),  # a layer between pooling and classifier
    Net("efficientvit_m0", (224, 224), (4, 4), "vjp", 192),  # its classifier has a BatchNorm before it
    Net("test_mambaout", (64, 96), (2, 3), "vjp", 64),  # channels last
    Net("test_vit", (96, 128), (6, 8), "vjp", 64),  # class token
    Net("test_vit2", (96, 128), (6, 8), "vjp", 64),  # average of tokens, with a register before them
]
FAMILIES = [
    Net("resnet18", (64, 96), (2, 3), "pool_linear", 512),
    Net("resnetv2_18", (64, 96), (2, 3), "pool_linear", 512),
    Net("convnext_atto", (64, 96), (2, 3), "vjp", 320),
    Net("convnextv2_atto", (64, 96), (2, 3), "vjp", 320),
    Net("efficientnet_b0", (64, 96), (2, 3), "pool_linear", 1280),
    Net("tf_efficientnetv2_b0", (64, 96), (2, 3), "pool_linear", 1280),
    Net("efficientnet_lite0", (64, 96), (2, 3), "pool_linear", 1280),
    Net("mobilenetv3_small_050", (64, 96), (2, 3), "vjp", 288),
    Net("mobilenetv4_conv_small_035", (64, 96), (2, 3), "vjp", 480),
    Net("regnetx_002", (64, 96), (2, 3), "pool_linear", 368),
    Net("densenet121", (64, 96), (2, 3), "pool_linear", 1024),
    Net("vgg11", (64, 96), (2, 3), "vjp", 512),
    Net("vit_tiny_patch16_224", (224, 224), (14, 14), "vjp", 192),
    Net("deit_tiny_patch16_224", (224, 320), (14, 20), "vjp", 192, {"dynamic_img_size": True}),
    Net("swin_tiny_patch4_window7_224", (224, 224), (7, 7), "pool_linear", 768),
    Net("swin_tiny_patch4_window7_224", (224, 320), (7, 10), "pool_linear", 768, {"strict_img_size": False}),
    Net("maxvit_rmlp_pico_rw_256", (256, 256), (8, 8), "pool_linear", 256),
    Net("hiera_tiny_224", (224, 224), (7, 7), "vjp", 768),
    Net("eva02_tiny_patch14_224", (224, 224), (16, 16), "vjp", 192, {"dynamic_img_size": True}),  # rounds as ours
]
NETS = [*KINDS, *(pytest.param(each, marks=pytest.mark.long) for each in FAMILIES)]
OF_TOKENS = ("test_vit", "test_vit2", "test_mambaout", "vit", "deit", "swin", "hiera", "eva02")
"""Networks whose rows and columns are restored. In others, a cell sees most of a small image."""


def name_of(net):
    return f"{net.name}-{net.image[0]}x{net.image[1]}"


def of_tokens(net):
    return getattr(net, "values", (net,))[0].name.split("_tiny")[0] in OF_TOKENS


@pytest.fixture(scope="module", params=NETS, ids=name_of)
def case(request):
    net = request.param
    return net, *pair(net.name, *net.image, **net.settings)


def test_head_of_trunk_is_timms_own_network(case, assert_close_to_largest):
    expected, backbone, net, images = case
    with torch.inference_mode():
        activations = backbone.trunk(images)
        logits = net(images)
        assert activations.shape[2:] == expected.grid
        assert logits.std() > 0
        assert_close_to_largest(backbone.head(activations), logits, 1e-5)
    assert backbone.num_classes == NUM_CLASSES
    assert backbone.classifier.weight is net_classifier(backbone)
    assert backbone.names_below(backbone.head).isdisjoint(backbone.names_below(backbone.trunk))


def net_classifier(backbone):
    return [each for each in backbone.head.parameters() if each.dim() > 1 and len(each) == NUM_CLASSES][-1]


@pytest.mark.parametrize(("dtype", "relative"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_maps_are_those_of_timms_own_network_one_class_at_a_time(case, dtype, relative, assert_close_to_largest):
    expected, backbone, net, images = case
    backbone, net, images = (copy.deepcopy(each).to(dtype) for each in (backbone, net, images))
    with torch.inference_mode():
        activations = backbone.trunk(images)
    cam = GradCam.of(backbone.head)
    maps, logits = cam(activations)
    assert cam.route == expected.route
    assert maps.shape == (2, NUM_CLASSES, *expected.grid)
    assert_close_to_largest(maps, gradcam(net, images, expected.grid), relative)
    with torch.no_grad():
        assert_close_to_largest(logits, net(images), relative)


@pytest.mark.parametrize("case", [*filter(of_tokens, NETS)], ids=name_of, indirect=True)
def test_a_planted_patch_is_in_its_row_and_column(case):
    expected, backbone, _, images = case
    rows, cols = expected.grid
    high, wide = expected.image[0] // rows, expected.image[1] // cols
    for row, col in ((0, cols - 1), (rows - 1, 0), (rows // 2, cols // 2 - 1)):
        planted = images.clone()
        planted[:, :, row * high : (row + 1) * high, col * wide : (col + 1) * wide] += 3
        with torch.inference_mode():
            changed = (backbone.trunk(planted) - backbone.trunk(images))[:, : expected.chan].norm(dim=1)
        assert (changed.flatten(1).argmax(1) == row * cols + col).all()


def test_maps_do_not_weight_the_channels_of_the_class_token():
    backbone, net, images = pair("test_vit", 96, 128)
    with torch.inference_mode():
        activations = backbone.trunk(images)
        assert activations.shape == (2, 128, 6, 8)
        assert (activations[:, 64:] == activations[:, 64:, :1, :1]).all()
        tokens = net.forward_intermediates(images, indices=[4], return_prefix_tokens=True, intermediates_only=True)
        assert torch.equal(activations[:, 64:, 0, 0], tokens[0][1][:, 0])
        louder = torch.cat((activations[:, :64], 2 * activations[:, 64:]), dim=1)
    cam = GradCam.of(backbone.head)
    assert not torch.allclose(cam(louder)[1], cam(activations)[1])  # logits depend on it


@pytest.mark.parametrize("name", ["test_vit", "test_convnext"])
def test_a_step_of_training_is_that_of_timms_own_network(name, assert_close_to_largest):
    backbone, net, images = pair(name, 64, 96)
    for each in (backbone.train(), net.train()):
        optimizer = torch.optim.SGD(each.parameters(), lr=0.01)
        F.cross_entropy(each(images), torch.tensor([1, 4])).backward()
        optimizer.step()
    before, after = pair(name, 64, 96)[1].state_dict(), net.state_dict()
    weights = backbone.export_weights()
    for key in after:
        moved = after[key] - before[key]
        if moved.abs().max() > 0:
            assert_close_to_largest(weights[key] - before[key], moved, 1e-3)
    assert any(not torch.equal(after[key], before[key]) for key in after if "patch_embed" in key or "stem" in key)


def test_travels_between_processes():
    backbone, _, images = pair("test_vit", 64, 96)
    copied = pickle.loads(pickle.dumps(backbone))  # noqa: S301
    assert torch.equal(copied(images), backbone(images))
    assert copied.export_weights().keys() == backbone.export_weights().keys()


def test_random_weights_depend_on_the_seed_only():
    def weights():
        torch.manual_seed(3)
        return build_backbone("timm:test_convnext", 3).export_weights()

    first, second = weights(), weights()
    assert all(torch.equal(first[key], second[key]) for key in first)
    torch.manual_seed(3)
    fresh = build_backbone("timm:test_convnext", 3)
    assert fresh.training
    assert fresh.head.training


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("crossvit_tiny_240", r"classifier is not one linear layer \(ModuleList\)"),
        ("deit_tiny_distilled_patch16_224", r"classifier is not one linear layer \(tuple\)"),
        ("xcit_nano_12_p16_224", "does not read one grid of features"),
        ("coat_tiny", "does not read one grid of features"),
        ("test_vit3", "does not read one grid of features"),  # pools the register token too
    ],
)
def test_networks_without_a_linear_classifier_of_a_grid_are_refused(name, why):
    with torch.device("meta"), pytest.raises(UsageError, match=rf"timm:{name}: its .*{why}.*Give another --backbone"):
        build_backbone(f"timm:{name}", 5)


@pytest.mark.parametrize("features", [[torch.zeros(1, 8, 2, 2)], torch.zeros(1, 4, 8)])
def test_features_that_are_not_the_grid_that_the_head_reads_are_refused(features):
    net = nn.Module()
    net.forward_features = lambda images: features
    with pytest.raises(UsageError, match=r"timm's Module: not one grid of features\. Give another --backbone"):
        TimmTrunk(net, "NCHW", 0)(torch.zeros(1, 3, 64, 64))


def test_tokens_that_are_not_a_grid_of_the_image_are_refused():
    net = nn.Module()
    net.forward_features = lambda images: torch.zeros(1, 13, 8)
    with pytest.raises(ValueError, match=r"its 13 tokens are not a grid over 64 × 64 pixels"):
        TimmTrunk(net, "NLC", 0)(torch.zeros(1, 3, 64, 64))
