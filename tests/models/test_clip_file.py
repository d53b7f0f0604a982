"""Files of networks of clips: they come back bit for bit, and damaged ones are refused without taking memory."""

import dataclasses
import json

import pytest
import torch

from attn.errors import UsageError
from attn.models.attention_distillation import ClipArchitecture, ClipCnn
from attn.models.clip_file import CLIP_CNN, TrainedClipCnn, load_clip_cnn, save_clip_cnn
from attn.models.clip_input import ClipInput
from attn.models.tensors_file import read_tensors, write_tensors

SHAPE = ClipArchitecture("small_clip_cnn", "rgb", num_classes=3)
INPUT = ClipInput(16, 4, 128, 112, "squares", {"stride": 1})


def trained_of(**settings) -> TrainedClipCnn:
    torch.manual_seed(0)
    net = ClipCnn(dataclasses.replace(SHAPE, **settings))
    return TrainedClipCnn(net, ("Wave", "Händeschütteln", "Hug"), INPUT, {"algorithm": "dis"}, {"who": "Ä"})


@pytest.fixture
def rewritten(tmp_path):
    """rewritten(tensors=…, text=…): URL of a file, changed by two functions."""

    def change(tensors=lambda known: known, text=lambda said: said) -> str:
        url = str(tmp_path / "net.safetensors")
        save_clip_cnn(url, trained_of())
        file = read_tensors(url)
        write_tensors(url, tensors(dict(file.tensors)), json.dumps(text(json.loads(file.text or ""))), CLIP_CNN)
        return url

    return change


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"modality": "flow", "num_maps": 1},
        {"num_maps": 0, "dropout": 0.0},
        {"fusion": "mean", "attention": "soft", "attention_kernel_t": 3, "attention_hidden": 5, "hidden_layer": True},
    ],
)
def test_comes_back_bit_for_bit(tmp_path, settings):
    before, url = trained_of(**settings), str(tmp_path / "net.safetensors")
    sha256 = save_clip_cnn(url, before)
    after = load_clip_cnn(url)
    assert after.sha256 == sha256
    assert (after.class_names, after.input, after.flow, after.trained) == (
        *(before.class_names, before.input, before.flow, before.trained),
    )
    assert after.net.architecture == before.net.architecture
    assert not after.net.training
    weights = before.net.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in after.net.state_dict().items())
    assert not any(weight.requires_grad for weight in after.net.parameters())


def test_shape_of_the_maps():
    assert trained_of().map_shape == (4, 14, 14)
    assert trained_of().map_names == ("motion", "appearance")
    assert trained_of(modality="flow", num_maps=1).map_names == ("motion",)


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": {"backbone": "resnet18"}},
        {"architecture": {"backbone": "r3d_18"}},
        {"architecture": {"num_classes": 1 << 30}},
        {"architecture": {"num_maps": 3}},
        {"architecture": {"attention_hidden": 1 << 40}},
        {"architecture": {"attention_kernel_t": 3}},
        {"architecture": {"fusion": "sum"}},
        {"architecture": {"temperature": 0.0}},
        {"architecture": {"temperature": "hot"}},
        {"architecture": {"dropout": 1.0}},
        {"architecture": {"hidden_layer": 1}},
        {"input": {"crop": 200}},
        {"input": {"length": 0}},
        {"input": {"std": [0, 1, 1]}},
        {"input": {"mean": [0, 1]}},
        {"class_names": ["Wave"]},
    ],
)
def test_other_descriptions_are_refused(rewritten, change):
    def text(said):
        return {key: {**said[key], **value} if isinstance(value, dict) else value for key, value in change.items()} | {
            key: value for key, value in said.items() if key not in change
        }

    with pytest.raises(UsageError, match="not a network of clips, or incomplete"):
        load_clip_cnn(rewritten(text=text))


def test_other_tensors_are_refused(rewritten):
    for change in (
        lambda known: {name: one for name, one in known.items() if name != "classifier.bias"},
        lambda known: {**known, "classifier.bias": torch.zeros(4)},
        lambda known: {**known, "classifier.bias": torch.zeros(3, dtype=torch.float64)},
    ):
        with pytest.raises(UsageError, match="not a network of clips, or incomplete"):
            load_clip_cnn(rewritten(tensors=change))
    with pytest.raises(UsageError, match=r"classifier\.bias contains NaN"):
        load_clip_cnn(rewritten(tensors=lambda known: {**known, "classifier.bias": torch.full((3,), torch.nan)}))


def test_a_file_without_a_kind_is_refused(tmp_path):
    import safetensors.torch

    safetensors.torch.save_file({"weight": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(UsageError, match=r"bare\.safetensors: not a network of clips"):
        load_clip_cnn(str(tmp_path / "bare.safetensors"))
