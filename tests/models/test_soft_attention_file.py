"""Files of trained soft-attention LSTMs: they come back bit for bit, and others are refused without taking memory."""

import dataclasses
import json
from typing import Any

import pytest
import torch

from attn.errors import UsageError
from attn.models.soft_attention import Architecture, SoftAttention
from attn.models.soft_attention_file import (
    NAME,
    SOFT_ATTENTION,
    TrainedSoftAttention,
    load_soft_attention,
    save_soft_attention,
)
from attn.models.tensors_file import read_tensors, write_tensors

CLASSES = ("Wave", "Händeschütteln", "Hug")
SHAPE = Architecture(3, 4, 6, hidden_dim=5)


def trained_net(**settings: Any) -> TrainedSoftAttention:
    torch.manual_seed(0)
    net = SoftAttention(dataclasses.replace(SHAPE, **settings))
    return TrainedSoftAttention(net, CLASSES, (2, 3), "googlenet", "abcdef0123456789", {"epochs": 15, "who": "Ä"})


@pytest.fixture
def folder(tmp_path) -> str:
    save_soft_attention(str(tmp_path / "run"), trained_net())
    return str(tmp_path / "run")


@pytest.fixture
def rewritten(folder):
    """rewritten(tensors=…, text=…): the folder, with its file changed by two functions."""

    def change(tensors=lambda known: known, text=lambda said: said) -> str:
        path = f"{folder}/{NAME}"
        file = read_tensors(path)
        write_tensors(path, tensors(dict(file.tensors)), json.dumps(text(json.loads(file.text or ""))), SOFT_ATTENTION)
        return folder

    return change


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"attention": "linear", "lstm_layers": 3, "multi_label": True},
        {"attention_layers": 3, "dropout": 0.0, "dropout_sites": "output", "dropout_form": "released"},
        {"pooling": "max", "hidden_dim": 1},
    ],
)
def test_comes_back_bit_for_bit(tmp_path, settings):
    before = trained_net(**settings)
    save_soft_attention(str(tmp_path), before)
    after = load_soft_attention(str(tmp_path))
    weights, loaded = before.net.state_dict(), after.net.state_dict()
    assert weights.keys() == loaded.keys()
    assert all(torch.equal(tensor.view(torch.int32), loaded[key].view(torch.int32)) for key, tensor in weights.items())
    assert dataclasses.replace(after, net=before.net) == before
    assert after.net.architecture == before.net.architecture
    assert not after.net.training
    assert not any(weight.requires_grad for weight in after.net.parameters())
    cubes = torch.rand(2, 4, 6, 4)
    assert torch.equal(after.net(cubes).logits, before.net.eval()(cubes).logits)


def test_equal_networks_make_equal_files_also_on_s3(tmp_path, s3):
    digests = {save_soft_attention(place, trained_net()) for place in (str(tmp_path), f"{s3}/run")}
    assert len(digests) == 1
    assert load_soft_attention(f"{s3}/run").class_names == CLASSES


def refused(folder: str, error: str = "") -> None:
    complaint = rf"^{folder}/{NAME}: not a soft-attention LSTM, or incomplete \({error}[^\n]+\. Train it again\.$"
    with pytest.raises(UsageError, match=complaint):
        load_soft_attention(folder)


@pytest.mark.parametrize("key", ["architecture", "class_names", "map_shape", "backbone", "fingerprint", "trained"])
def test_a_missing_fact(rewritten, key):
    refused(rewritten(text=lambda said: {name: value for name, value in said.items() if name != key}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("map_shape", [3, 3]),
        ("map_shape", [-2, -3]),
        ("map_shape", [6.0, 1]),
        ("map_shape", [6]),
        ("map_shape", None),
        ("class_names", ["Wave", "Hug"]),
        ("class_names", None),
        ("architecture", None),
        ("trained", None),
    ],
)
def test_a_wrong_fact(rewritten, key, value):
    refused(rewritten(text=lambda said: said | {key: value}))


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Architecture)])
def test_a_missing_setting(rewritten, name):
    def without(said):
        del said["architecture"][name]
        return said

    refused(rewritten(text=without))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attention", "bilinear"),
        ("pooling", None),
        ("depth_form", ["top"]),
        ("hidden_dim", 6),
        ("hidden_dim", "5"),
        ("hidden_dim", 5.0),
        ("hidden_dim", True),
        ("hidden_dim", 10**30),
        ("num_channels", 10**9),
        ("num_cells", -6),
        ("lstm_layers", 10**9),
        ("attention_layers", 10**9),
        ("lstm_layers", 0),
        ("multi_label", 1),
        ("dropout", 1.0),
        ("dropout", -0.5),
        ("dropout", "0.5"),
        ("window", 3),
    ],
)
def test_a_wrong_setting_is_refused_before_memory_is_taken(limited_memory, rewritten, name, value):
    refused(rewritten(text=lambda said: said | {"architecture": said["architecture"] | {name: value}}))


def test_a_whole_number_is_a_probability_too(rewritten):
    folder = rewritten(text=lambda said: said | {"architecture": said["architecture"] | {"dropout": 0}})
    assert load_soft_attention(folder).net.architecture.dropout == 0


def test_sizes_that_the_tensors_lack_take_no_memory(limited_memory, rewritten):
    huge = {"num_channels": 2**31, "hidden_dim": 2**30, "num_cells": 6}
    with pytest.raises(UsageError, match=r"size mismatch|size calculation overflowed"):  # not short of memory
        load_soft_attention(rewritten(text=lambda said: said | {"architecture": said["architecture"] | huge}))


@pytest.mark.parametrize("key", list(trained_net().net.state_dict()))
def test_a_missing_tensor(rewritten, key):
    refused(
        rewritten(lambda tensors: {name: tensor for name, tensor in tensors.items() if name != key}), "RuntimeError"
    )


def test_an_unknown_tensor(rewritten):
    refused(rewritten(lambda tensors: tensors | {"more": torch.zeros(1)}), "RuntimeError")


def test_a_tensor_of_another_precision(rewritten):
    refused(rewritten(lambda tensors: tensors | {"output.bias": torch.zeros(3, dtype=torch.float64)}), "ValueError")


def test_weights_that_are_no_numbers(rewritten):
    def spoil(tensors):
        tensors["output.bias"][0] = torch.nan
        return tensors

    with pytest.raises(UsageError, match=rf"{NAME}: output\.bias contains NaN or infinity"):
        load_soft_attention(rewritten(spoil))


@pytest.mark.parametrize("text", [None, [], "soft_attention", 7])
def test_facts_of_another_kind(rewritten, text):
    refused(rewritten(text=lambda _: text))


def test_a_damaged_or_missing_file(folder, tmp_path):
    path = f"{folder}/{NAME}"
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(data[:-1])
    for place in (folder, str(tmp_path / "nowhere")):
        with pytest.raises(UsageError, match=rf"^{place}/{NAME}: [^\n]+$"):
            load_soft_attention(place)
