"""A CNN and its method in one file."""

import dataclasses
import json

import pytest
import torch

from attn.errors import UsageError
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, load_checkpoint, save_checkpoint
from attn.models.energynet import EnergyNet
from attn.models.energynet_file import TrainedEnergyNet
from attn.models.model_file import Model, load_model, save_model
from attn.models.tensors_file import read_tensors, write_tensors
from attn.models.weights_file import CNN

NAMES = ("Wave", "Kick", "Händeschütteln")
CALIBRATION = {"mean": [0.1, 0.2, 0.3], "std": [1.0, 2.0, 3.0], "videos": 7}


@pytest.fixture
def cnn(tmp_path):
    torch.manual_seed(0)
    url = str(tmp_path / "cnn.safetensors")
    save_checkpoint(url, Cnn(build_backbone("small_cnn", 3), "small_cnn", NAMES, 64, trained={"on": "Ä"}))
    return load_checkpoint(url)


@pytest.fixture
def model(cnn):
    torch.manual_seed(1)
    net = EnergyNet(torch.randn(3, 5), (4, 4), hidden_dim=7, embedding_dim=6, residual=True, window=2).eval()
    trained = TrainedEnergyNet(net, NAMES, (4, 4), "abcdef0123456789", {"updates": 3})
    return Model(cnn, "energynet", {"map_shape": [4, 4]}, 2, CALIBRATION, trained, ("a", "b"), {"method": "X"})


def test_everything_comes_back(tmp_path, model):
    url = str(tmp_path / "model.safetensors")
    save_model(url, model)
    back = load_model(url)
    assert (back.method, back.maps, back.window, back.calibration) == (
        "energynet",
        {"map_shape": [4, 4]},
        2,
        CALIBRATION,
    )
    assert (back.trained_on, back.chosen) == (("a", "b"), {"method": "X"})
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(back.cnn.backbone(images), model.cnn.backbone(images))
    assert back.energynet is not None
    assert model.energynet is not None
    for name, tensor in model.energynet.net.state_dict().items():
        assert torch.equal(back.energynet.net.state_dict()[name], tensor)


def test_it_is_a_checkpoint_of_the_cnn_and_makes_the_same_stores(tmp_path, cnn, model):
    url = str(tmp_path / "model.safetensors")
    save_model(url, model)
    found = load_checkpoint(url)
    assert found.weights_sha256 == cnn.weights_sha256
    assert (found.class_names, found.input_size, found.trained) == (cnn.class_names, cnn.input_size, cnn.trained)
    for name, tensor in cnn.backbone.export_weights().items():
        assert torch.equal(found.backbone.export_weights()[name], tensor)


def test_a_checkpoint_without_a_method_is_refused(tmp_path, cnn):
    with pytest.raises(UsageError, match=r"a checkpoint without a method\. Give a model file"):
        load_model(str(tmp_path / "cnn.safetensors"))


@pytest.mark.parametrize(
    "damage",
    [
        *({"maps": 3}, {"window": "x"}, {"trained_on": 3}, {"energynet": {}}, {"name": None}, {"name": []}),
        *({"window": 0}, {"window": -1}, {"window": True}, {"window": 2.5}),
        *({"name": "unatt", "energynet": None, "window": 5}, {"name": "cnn", "energynet": None, "window": 0}),
        *({"maps": {"map_shape": shape}} for shape in ([3, 4], [4], None, "44")),
        {"maps": {"map_shape": [4, 4], "class_names": ["Wave", "Kick", "Hug"]}},
        *({"calibration": {**CALIBRATION, "std": std}} for std in ([1, 0, 1], [1, 1, -1], [1], 1, [1, 1, "x"], None)),
        *({"calibration": {**CALIBRATION, "mean": mean}} for mean in ([0.0], [0, 0, float("nan")], [10**400, 0, 0])),
        *({"calibration": {**CALIBRATION, "videos": videos}} for videos in (0, None, float("inf"))),
        {"calibration": {}},
    ],
)
def test_a_method_of_another_maker_is_refused_in_one_line(tmp_path, model, damage):
    url = str(tmp_path / "model.safetensors")
    save_model(url, model)
    file = read_tensors(url)
    said = json.loads(file.text or "")
    write_tensors(url, file.tensors, json.dumps({**said, "method": {**said["method"], **damage}}), CNN)
    with pytest.raises(UsageError, match=r"model\.safetensors.*(Write the file|Train it) again") as error:
        load_model(url)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "damage", [{"class_names": ("Wave", "Kick", "Hug")}, {"map_shape": (2, 8)}, {"class_names": NAMES[::-1]}]
)
def test_an_energynet_of_other_classes_or_maps_is_refused(tmp_path, model, damage):
    url = str(tmp_path / "model.safetensors")
    save_model(url, dataclasses.replace(model, energynet=dataclasses.replace(model.energynet, **damage)))
    with pytest.raises(UsageError, match=r"model\.safetensors.*classes or map shape differ"):
        load_model(url)
