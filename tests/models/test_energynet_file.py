import json
import math
import re

import pytest
import torch

from attn.errors import UsageError
from attn.models.energynet import EnergyNet
from attn.models.energynet_file import ENERGYNET, NAME, TrainedEnergyNet, load_energynet, save_energynet
from attn.models.tensors_file import read_tensors, write_tensors

CLASSES = ("Wave", "Händeschütteln", "Hug")


def trained_net(**settings) -> TrainedEnergyNet:
    torch.manual_seed(0)
    net = EnergyNet(torch.randn(3, 5), (4, 5), **{"hidden_dim": 7, "embedding_dim": 6, "map_scale": 1 / 3} | settings)
    return TrainedEnergyNet(net, CLASSES, (4, 5), "abcdef0123456789", {"updates": 20_000, "lr": 1e-4, "who": "Ä"})


@pytest.fixture
def folder(tmp_path) -> str:
    save_energynet(str(tmp_path / "run"), trained_net())
    return str(tmp_path / "run")


@pytest.fixture
def rewritten(folder):
    """rewritten(tensors=…, text=…): the folder, with its file changed by two functions."""

    def change(tensors=lambda known: known, text=lambda said: said) -> str:
        path = f"{folder}/{NAME}"
        file = read_tensors(path)
        write_tensors(path, tensors(file.tensors), json.dumps(text(json.loads(file.text or ""))), ENERGYNET)
        return folder

    return change


RESIDUAL = {"residual": True, "residual_scale": 0.7, "window": 2}


@pytest.mark.parametrize(
    "settings", [{}, {"normalise_embedding": True}, {"hidden_dim": 128, "embedding_dim": 1}, RESIDUAL]
)
def test_comes_back_bit_for_bit(tmp_path, settings):
    before = trained_net(**settings)
    save_energynet(str(tmp_path), before)
    after = load_energynet(str(tmp_path))
    weights, loaded = before.net.state_dict(), after.net.state_dict()
    assert weights.keys() == loaded.keys()
    assert all(torch.equal(tensor.view(torch.int32), loaded[key].view(torch.int32)) for key, tensor in weights.items())
    assert after.net.map_scale.item() == torch.tensor(1 / 3).item()
    assert (after.class_names, after.map_shape, after.fingerprint, after.trained) == (
        before.class_names,
        before.map_shape,
        before.fingerprint,
        before.trained,
    )
    maps = torch.rand(6, 3, 4, 5)
    assert torch.equal(after.net.energies(maps), before.net.energies(maps))


def test_a_file_of_before_there_were_residual_networks(rewritten):
    old = {"class_names", "map_shape", "fingerprint", "hidden_dim", "embedding_dim", "normalise_embedding", "trained"}
    loaded = load_energynet(rewritten(text=lambda said: {name: said[name] for name in old})).net
    maps = torch.rand(6, 3, 4, 5)
    assert not loaded.residual
    assert torch.equal(loaded.energies(maps), trained_net().net.energies(maps))


@pytest.mark.parametrize(
    "change", [{"residual": 1}, {"residual": "yes"}, {"window": 0}, {"window": 5}, {"window": 2.0}, {"window": None}]
)
def test_a_residual_network_with_a_window_that_cannot_be(tmp_path, rewritten, change):
    save_energynet(str(tmp_path / "run"), trained_net(**RESIDUAL))
    refused(rewritten(text=lambda said: said | change))


def test_a_residual_network_without_its_scale_and_a_scale_without_one(tmp_path, rewritten):
    refused(rewritten(lambda tensors: tensors | {"residual_scale": torch.tensor(0.7)}))
    save_energynet(str(tmp_path / "run"), trained_net(**RESIDUAL))
    refused(rewritten(lambda tensors: {name: value for name, value in tensors.items() if name != "residual_scale"}))


def test_what_is_loaded_is_not_to_be_trained(folder):
    net = load_energynet(folder).net
    assert not net.training
    assert not any(weights.requires_grad for weights in net.parameters())


def test_equal_networks_make_equal_files(tmp_path):
    digests = {save_energynet(str(tmp_path / name), trained_net()) for name in "ab"}
    assert len(digests) == 1


def test_on_s3(s3):
    save_energynet(f"{s3}/run", trained_net())
    assert load_energynet(f"{s3}/run").class_names == CLASSES


def test_nothing_there(tmp_path):
    with pytest.raises(UsageError, match=rf"^{tmp_path}/{NAME}: [^\n]+$"):
        load_energynet(str(tmp_path))


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_cut_file(folder, keep):
    path = f"{folder}/{NAME}"
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(data[:keep])
    with pytest.raises(UsageError, match=rf"^{path}: not a safetensors file, or incomplete [^\n]+$"):
        load_energynet(folder)


def test_a_torch_file_is_not_unpickled(folder):
    torch.save({"bomb": Bomb()}, f"{folder}/{NAME}")
    with pytest.raises(UsageError, match="not a safetensors file"):
        load_energynet(folder)


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was executed",)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("key", ["energy_head.weight", "concept_vectors", "map_scale"])
def test_weights_that_are_no_numbers(rewritten, key, value):
    def spoil(tensors):
        tensors[key].view(-1)[-1] = value
        return tensors

    with pytest.raises(UsageError, match=rf"{NAME}: {re.escape(key)} contains NaN or infinity"):
        load_energynet(rewritten(spoil))


def refused(folder: str, error: str = "") -> None:
    complaint = rf"^{folder}/{NAME}: not an EnergyNet, or incomplete \({error}[^\n]+\. Train it"
    with pytest.raises(UsageError, match=complaint):
        load_energynet(folder)


@pytest.mark.parametrize(
    "key",
    ["class_names", "map_shape", "fingerprint", "hidden_dim", "embedding_dim", "normalise_embedding", "trained"],
)
def test_a_missing_fact(rewritten, key):
    refused(rewritten(text=lambda said: {name: value for name, value in said.items() if name != key}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("map_shape", [5]),
        ("map_shape", [4, 6]),
        ("map_shape", "45"),
        ("map_shape", None),
        ("hidden_dim", 8),
        ("hidden_dim", "7"),
        ("embedding_dim", -1),
        ("map_shape", [-4, -5]),
        ("map_shape", [20.0, 1]),
        ("class_names", None),
        ("class_names", ["Wave", "Hug"]),
        ("trained", None),
    ],
)
def test_a_wrong_fact(rewritten, key, value):
    refused(rewritten(text=lambda said: said | {key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("map_shape", [10**6, 10**6]),
        ("map_shape", [10**13, "x"]),
        ("hidden_dim", 10**12),
        ("hidden_dim", 10**30),
        ("embedding_dim", 10**12),
    ],
)
def test_a_dimension_that_no_memory_holds_is_compared_before_it_is_taken(rewritten, key, value):
    refused(rewritten(text=lambda said: said | {key: value}), "ValueError")


@pytest.mark.parametrize(("said", "wrong"), [("hidden_dim", 10**12), ("embedding_dim", 10**12)])
def test_a_layer_without_numbers_stands_for_none(rewritten, said, wrong):
    """A tensor of no rows, or of no columns, may claim any size and costs a file nothing."""
    empty = torch.zeros(wrong, 0) if said == "embedding_dim" else torch.zeros(0, wrong)
    refused(
        rewritten(lambda tensors: tensors | {"embedding_layer.weight": empty}, lambda told: told | {said: wrong}),
        "ValueError",
    )


def test_concept_vectors_without_classes_take_no_memory(rewritten):
    huge = torch.zeros(0, 10**12)
    refused(
        rewritten(lambda tensors: tensors | {"concept_vectors": huge}, lambda told: told | {"class_names": []}),
        "ValueError",
    )


@pytest.mark.parametrize("text", [None, [], "EnergyNet", 7])
def test_facts_of_another_kind(rewritten, text):
    refused(rewritten(text=lambda _: text))


@pytest.mark.parametrize("key", list(trained_net().net.state_dict()))
def test_a_missing_tensor(rewritten, key):
    refused(rewritten(lambda tensors: {name: tensor for name, tensor in tensors.items() if name != key}))


def test_an_unknown_tensor(rewritten):
    refused(rewritten(lambda tensors: tensors | {"energy_head.bias": torch.zeros(1)}))


@pytest.mark.parametrize("vectors", [torch.zeros(15), torch.zeros(3, 4), torch.zeros(3, 5, 1), torch.tensor(1.0)])
def test_concept_vectors_of_another_shape(rewritten, vectors):
    refused(rewritten(lambda tensors: tensors | {"concept_vectors": vectors}))


def test_weights_of_a_cnn(folder):
    write_tensors(f"{folder}/{NAME}", {"fc.weight": torch.zeros(3, 4)}, json.dumps({"class_names": CLASSES}), ENERGYNET)
    refused(folder)
