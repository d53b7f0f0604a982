import pickle

import pytest
import torch
from torchvision import models as tv

from attn.errors import UsageError
from attn.models.backbone import BACKBONE_NAMES, build_backbone, mobilenet_width
from tests.backbones import siblings_long

TORCHVISION_SETTINGS = {
    "googlenet": {"aux_logits": False, "init_weights": True, "transform_input": True},
    "mobilenet_v2_w035": {"width_mult": 0.35},
    "mobilenet_v2_w140": {"width_mult": 1.4},
}
NAMES = [name for name in (*BACKBONE_NAMES, "mobilenet_v2_w035", "mobilenet_v2_w140") if name != "small_cnn"]

SHAPES_AT_224 = {
    **dict.fromkeys(("resnet18", "resnet34"), ("layer4", 512, 7)),
    **dict.fromkeys(("resnet50", "resnet101", "resnet152"), ("layer4", 2048, 7)),
    "vgg16": ("features.29", 512, 14),
    "vgg16_bn": ("features.42", 512, 14),
    **dict.fromkeys(("squeezenet1_0", "squeezenet1_1"), ("features", 512, 13)),
    **dict.fromkeys(("mobilenet_v2", "mobilenet_v2_w035"), ("features", 1280, 7)),
    "mobilenet_v2_w140": ("features", 1792, 7),
    "densenet121": ("features+relu", 1024, 7),
    "googlenet": ("inception5b", 1024, 7),
    "efficientnet_b0": ("features", 1280, 7),
    "convnext_tiny": ("features", 768, 7),
    "small_cnn": ("features", 192, 14),
}


def torchvision_net(name: str) -> torch.nn.Module:
    own_name = "mobilenet_v2" if name.startswith("mobilenet") else name
    return tv.get_model(own_name, weights=None, num_classes=5, **TORCHVISION_SETTINGS.get(name, {}))


@pytest.mark.parametrize("name", siblings_long(NAMES))
def test_equals_torchvisions_own_forward_bit_for_bit(name, randomise):
    torch.manual_seed(0)
    net = randomise(torchvision_net(name))
    with torch.device("meta"):
        backbone = build_backbone(name, 5).eval()
    backbone.to_empty(device="cpu")  # whatever the import left out would be garbage
    weights = net.state_dict()
    assert backbone.export_weights().keys() == weights.keys()
    backbone.import_weights(weights)

    images = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        logits = net(images)
        assert logits.std() > 0
        assert torch.equal(backbone.head(backbone.trunk(images)), logits)
        assert torch.equal(backbone(images), logits)


@pytest.mark.parametrize("name", SHAPES_AT_224)
def test_map_layer_and_its_shape_at_224_pixels(name):
    with torch.device("meta"):
        backbone = build_backbone(name, 5).eval()
        activations = backbone.trunk(torch.empty(1, 3, 224, 224))
        map_layer, channels, cells = SHAPES_AT_224[name]
        assert backbone.map_layer == map_layer
        assert activations.shape == (1, channels, cells, cells)
        assert backbone.head(activations).shape == (1, 5)


@pytest.mark.parametrize("name", [*BACKBONE_NAMES])
def test_classifier_is_the_layer_with_one_output_per_class(name):
    with torch.device("meta"):
        backbone = build_backbone(name, 5)
    assert backbone.num_classes == 5
    names = backbone.names_below(backbone.classifier)
    assert {key.rpartition(".")[2] for key in names} == {"weight", "bias"}
    assert all(len(backbone.export_weights()[key]) == 5 for key in names)
    assert names <= backbone.names_below(backbone.head)
    assert backbone.names_below(backbone.head).isdisjoint(backbone.names_below(backbone.trunk))


@pytest.mark.parametrize(("name", "width"), [("w035", 0.35), ("w35", 0.35), ("w100", 1.0), ("w140", 1.4)])
def test_slim_mobilenets_say_their_width(name, width):
    assert mobilenet_width(f"mobilenet_v2_{name}") == width


@pytest.mark.parametrize(
    "name", ["resnet5", "", "mobilenet_v2_w5", "mobilenet_v2_w1000", "mobilenet_v2_w000", "ResNet18", "alexnet"]
)
def test_unknown_name_lists_the_known_ones(name):
    with pytest.raises(UsageError, match=r"unknown backbone\. .*resnet18, .*small_cnn, or mobilenet_v2_wNNN"):
        build_backbone(name, 5)


def test_importing_leaves_other_weights_as_they_are():
    backbone = build_backbone("small_cnn", 5)
    before = {key: tensor.clone() for key, tensor in backbone.export_weights().items()}
    backbone.import_weights({"classifier.bias": torch.arange(5.0)})
    after = backbone.export_weights()
    assert after["classifier.bias"].tolist() == [0, 1, 2, 3, 4]
    assert all(torch.equal(after[key], before[key]) for key in before if key != "classifier.bias")


def test_travels_between_processes():
    backbone = build_backbone("small_cnn", 5).eval()
    images = torch.rand(1, 3, 32, 32)
    copy = pickle.loads(pickle.dumps(backbone))  # noqa: S301
    assert torch.equal(copy(images), backbone(images))
    assert copy.export_weights().keys() == backbone.export_weights().keys()
