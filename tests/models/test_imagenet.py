import hashlib

import pytest
import torch
from torchvision import models as tv

from attn.errors import UsageError
from attn.models.backbone import BACKBONE_NAMES
from attn.models.imagenet import imagenet_class_names, read_imagenet_weights


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch's download cache, empty; downloads find a proxy that is not there."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


def test_there_are_1000_different_names():
    names = imagenet_class_names()
    assert len(names) == len(set(names)) == 1000
    assert names[:2] == ("tench", "goldfish")


@pytest.mark.parametrize("name", [name for name in BACKBONE_NAMES if name != "small_cnn"])
def test_torchvision_has_first_weights_of_every_backbone(name):
    weights = tv.get_model_weights(name)["IMAGENET1K_V1"]
    assert weights.transforms().crop_size == [224]
    assert weights.transforms().mean == [0.485, 0.456, 0.406]
    assert tuple(weights.meta["categories"]) == imagenet_class_names()


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v2_w100"])
def test_reads_torchvisions_file_and_says_what_it_is(hub, name):
    torchvision_name = {"mobilenet_v2_w100": "mobilenet_v2"}.get(name, name)
    url = tv.get_model_weights(torchvision_name)["IMAGENET1K_V1"].url
    cached = hub / url.rpartition("/")[2]
    tensors = {"classifier.1.bias": torch.rand(1000)}
    torch.save(tensors, cached)

    file = read_imagenet_weights(name)
    assert torch.equal(file.tensors["classifier.1.bias"], tensors["classifier.1.bias"])
    assert file.sha256 == hashlib.sha256(cached.read_bytes()).hexdigest()
    assert file.described.backbone == name
    assert file.described.class_names == imagenet_class_names()
    assert file.described.trained["source"] == url


def test_failed_download_is_one_line_with_the_way_out(hub):
    with pytest.raises(
        UsageError, match=r"cannot download https://download\.pytorch\.org/.*resnet18-.*Download it"
    ) as failure:
        read_imagenet_weights("resnet18")
    assert "\n" not in str(failure.value)
    assert not list(hub.iterdir())


@pytest.mark.parametrize("name", ["small_cnn", "mobilenet_v2_w035", "alexnet"])
def test_networks_without_imagenet_weights_are_refused(hub, name):
    with pytest.raises(UsageError, match=f"no weights for {name}"):
        read_imagenet_weights(name)


def test_backbone_must_be_named(hub):
    with pytest.raises(UsageError, match=r"the network is not given\. Give --backbone"):
        read_imagenet_weights(None)
