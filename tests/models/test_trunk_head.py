import torch
from torchvision import models as tv

from attn.models.backbone import BACKBONE_NAMES
from attn.models.trunk_head import TORCHVISION, GoogLeNetInput, split_densenet, split_vgg


def test_every_torchvision_backbone_has_a_way_to_cut_it():
    assert (*TORCHVISION, "small_cnn") == BACKBONE_NAMES
    for name in TORCHVISION:
        assert name in tv.list_models()


def test_googlenet_input_maps_imagenets_normalisation_to_plus_minus_one():
    pixels = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    mean, std = (torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in (MEAN, STD))
    assert torch.allclose(GoogLeNetInput()((pixels - mean) / std), (pixels - 0.5) / 0.5, rtol=0, atol=1e-12)


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_vgg_is_cut_between_the_last_relu_and_the_last_pooling():
    with torch.device("meta"):
        split = split_vgg(tv.vgg16(weights=None))
    assert isinstance(split.trunk[-1], torch.nn.ReLU)
    assert isinstance(split.head[0], torch.nn.MaxPool2d)


def test_densenets_activations_are_rectified():
    with torch.device("meta"):
        split = split_densenet(tv.densenet121(weights=None))
    assert isinstance(split.trunk[-1], torch.nn.ReLU)
