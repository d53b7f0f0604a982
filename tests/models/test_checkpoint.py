import dataclasses

import pytest
import safetensors.torch
import torch
from torchvision import models as tv

from attn.errors import UsageError
from attn.models.backbone import build_backbone
from attn.models.checkpoint import (
    MOST_INPUT_SIZE,
    Cnn,
    check_input_size,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)

ACTIONS = ("kiss", "hug", "wave")


@pytest.fixture
def cnn(randomise) -> Cnn:
    torch.manual_seed(0)
    backbone = randomise(build_backbone("small_cnn", 3))
    return Cnn(backbone, "small_cnn", ACTIONS, 112, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), {"epochs": 8})


@pytest.fixture
def saved(cnn, tmp_path) -> str:
    url = str(tmp_path / "cnn.safetensors")
    save_checkpoint(url, cnn)
    return url


@pytest.fixture
def state_dict(cnn, tmp_path) -> str:
    url = str(tmp_path / "cnn.pth")
    torch.save(cnn.backbone.export_weights(), url)
    return url


def test_checkpoint_comes_back_whole(cnn, tmp_path):
    url = str(tmp_path / "cnn.safetensors")
    sha256 = save_checkpoint(url, cnn)
    loaded = load_checkpoint(url)
    images = torch.rand(2, 3, 48, 48)
    assert torch.equal(loaded.backbone(images), cnn.backbone(images))
    assert not loaded.backbone.training
    assert dataclasses.replace(loaded, backbone=cnn.backbone, weights_sha256="") == cnn
    assert loaded.weights_sha256 == sha256


def test_saving_again_changes_nothing(saved, tmp_path):
    copy = str(tmp_path / "copy.safetensors")
    assert save_checkpoint(copy, load_checkpoint(saved)) == load_checkpoint(saved).weights_sha256


def test_torchvision_loads_our_checkpoints(tmp_path):
    url = str(tmp_path / "net.safetensors")
    backbone = build_backbone("squeezenet1_1", 3).eval()
    save_checkpoint(url, Cnn(backbone, "squeezenet1_1", ACTIONS))
    net = tv.squeezenet1_1(weights=None, num_classes=3).eval()
    net.load_state_dict(safetensors.torch.load_file(url), strict=True)
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(net(images), backbone(images))


def test_checkpoint_travels_through_s3(cnn, s3):
    save_checkpoint(f"{s3}/cnn.safetensors", cnn)
    loaded = load_checkpoint(f"{s3}/cnn.safetensors")
    assert loaded.class_names == ACTIONS
    assert torch.equal(loaded.backbone.classifier.weight, cnn.backbone.classifier.weight)
    with pytest.raises(UsageError, match=r"gone\.safetensors: does not exist"):
        load_checkpoint(f"{s3}/gone.safetensors")


def test_checkpoint_has_one_suffix(cnn, tmp_path):
    with pytest.raises(UsageError, match=r"cnn\.pth: checkpoints must be \.safetensors files"):
        save_checkpoint(str(tmp_path / "cnn.pth"), cnn)


def test_bare_file_is_no_checkpoint(tmp_path):
    safetensors.torch.save_file({"weight": torch.zeros(2)}, tmp_path / "bare.safetensors")
    with pytest.raises(UsageError, match=r"bare\.safetensors: not a checkpoint"):
        load_checkpoint(str(tmp_path / "bare.safetensors"))


def test_what_the_caller_says_goes_before_what_the_file_says(saved):
    cnn = load_weights(saved, "small_cnn", ACTIONS, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), 64)
    assert (cnn.mean, cnn.std, cnn.input_size) == ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0), 64)
    assert cnn.trained == {"epochs": 8}


def test_another_backbone_is_refused(saved):
    with pytest.raises(UsageError, match=r"cnn\.safetensors: contains a small_cnn, not a resnet18"):
        load_weights(saved, "resnet18")


@pytest.mark.parametrize("classes", [("hug", "kiss", "wave"), ("kiss", "hug"), ("a", "b", "c", "d")])
def test_other_classes_are_for_training_only(saved, cnn, classes):
    with pytest.raises(UsageError, match=r"for 3 classes \(kiss, hug, wave\), but the class list has \d classes"):
        load_weights(saved, classes=classes)
    started = load_weights(saved, classes=classes, new_classifier=True)
    assert started.class_names == classes
    assert started.new_classifier
    assert not torch.equal(started.backbone.classifier.weight[:2], cnn.backbone.classifier.weight[:2])
    assert torch.equal(started.backbone.trunk[0][0][0].weight, cnn.backbone.trunk[0][0][0].weight)


def test_training_goes_on_with_the_same_classes(saved, cnn):
    started = load_weights(saved, classes=list(ACTIONS), new_classifier=True)
    assert not started.new_classifier
    assert torch.equal(started.backbone.classifier.weight, cnn.backbone.classifier.weight)


def test_state_dict_needs_backbone_and_classes(state_dict, cnn):
    loaded = load_weights(state_dict, "small_cnn", ACTIONS)
    assert torch.equal(loaded.backbone.classifier.weight, cnn.backbone.classifier.weight)
    assert (loaded.mean, loaded.std, loaded.input_size) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224)
    with pytest.raises(UsageError, match=r"cnn\.pth: the file does not name its network\. Give --backbone\."):
        load_weights(state_dict, classes=ACTIONS)
    with pytest.raises(UsageError, match=r"classifier has 3 outputs, not 1000\. Give the class list"):
        load_weights(state_dict, "small_cnn")
    with pytest.raises(UsageError, match=r"classifier has 3 outputs, not 2"):
        load_weights(state_dict, "small_cnn", ACTIONS[:2])


def test_1000_outputs_without_a_class_list_are_imagenets(tmp_path):
    torch.save(build_backbone("small_cnn", 1000).export_weights(), tmp_path / "net.pth")
    loaded = load_weights(str(tmp_path / "net.pth"), "small_cnn")
    assert loaded.class_names[0] == "tench"
    assert len(loaded.class_names) == 1000


def test_imagenet_without_network_is_a_usage_error(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(UsageError, match="imagenet: cannot download"):
        load_weights("imagenet", "resnet18")


def test_class_names_must_differ(state_dict):
    with pytest.raises(UsageError, match="class names appear twice: hug"):
        load_weights(state_dict, "small_cnn", ("hug", "hug", "kiss"))


@pytest.mark.parametrize("wrong", [{"std": (0.5, 0.0, 0.5)}, {"std": (0.5, -1.0, 0.5)}, {"input_size": -5}])
def test_impossible_preprocessing_is_refused(saved, wrong):
    with pytest.raises(UsageError, match="must be above 0"):
        load_weights(saved, **wrong)


def test_an_absurdly_large_input_is_refused_before_it_takes_memory(cnn, saved, tmp_path):
    url = str(tmp_path / "huge.safetensors")
    save_checkpoint(url, dataclasses.replace(cnn, input_size=30_000))
    complaint = r": an input of 30000 pixels is too large\. Give an --input-size of at most 2048\.$"
    with pytest.raises(UsageError, match=rf"^{url}{complaint}"):
        load_checkpoint(url)
    with pytest.raises(UsageError, match=rf"^{saved}{complaint}"):
        load_weights(saved, input_size=30_000)
    with pytest.raises(UsageError, match=f"^small_cnn{complaint}"):
        check_input_size(dataclasses.replace(cnn, input_size=30_000))
    assert load_weights(url, input_size=64).input_size == 64
    assert load_weights(saved, input_size=MOST_INPUT_SIZE).input_size == MOST_INPUT_SIZE


def test_absurdly_many_classes_are_refused_before_they_take_memory(cnn, tmp_path):
    url = str(tmp_path / "many.safetensors")
    save_checkpoint(url, dataclasses.replace(cnn, class_names=tuple(map(str, range(100_001)))))
    with pytest.raises(UsageError, match=rf"^{url}: has 100001 classes, more than 100000\. Give other weights\.$"):
        load_checkpoint(url)


def test_real_state_dicts_load(real_data):
    weights = real_data / "weights"
    half = (0.5, 0.5, 0.5)
    for name in ("mobilenet_v2", "squeezenet1_0"):
        loaded = load_weights(str(weights / f"{name}.pth"), name, mean=half, std=half)
        assert loaded.class_names[1] == "goldfish"
    slim = str(weights / "mobilenet_v2_w035_features.pth")
    with pytest.raises(UsageError, match="can only start a training"):
        load_weights(slim, "mobilenet_v2_w035", ACTIONS)
    started = load_weights(slim, "mobilenet_v2_w035", ACTIONS, new_classifier=True)
    assert started.new_classifier
    assert started.backbone(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
