"""Model files of every kind open with what they say about themselves, also those from before kinds existed."""

import dataclasses
import json
import re

import pytest
import safetensors.torch
import torch

from attn.errors import UsageError
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, load_checkpoint, save_checkpoint
from attn.models.energynet import EnergyNet
from attn.models.energynet_file import ENERGYNET, TrainedEnergyNet, load_energynet, save_energynet
from attn.models.model_file import Model, save_model
from attn.models.tensors_file import Kind, read_tensors, write_tensors
from attn.models.weights_file import CNN
from attn.stages.open_model import LOADERS, open_model
from attn.stages.scoring import CnnVote, EnergyNetScore

NAMES, FINGERPRINT = ("Wave", "Kick", "Hug"), "abcdef0123456789"
URLS = {
    "checkpoint": "cnn.safetensors",
    "model file": "model.safetensors",
    "energynet": "net/energynet.safetensors",
    "folder": "net",
}


@pytest.fixture
def files(tmp_path):
    """Folder with `URLS`."""
    torch.manual_seed(0)
    save_checkpoint(url := str(tmp_path / URLS["checkpoint"]), Cnn(build_backbone("small_cnn", 3), "small_cnn", NAMES))
    net = EnergyNet(torch.randn(3, 5), (4, 4), hidden_dim=7, embedding_dim=6)
    trained = {"train_videos": ["a"], "held_out_videos": ["b"]}
    save_energynet(str(tmp_path / "net"), TrainedEnergyNet(net, NAMES, (4, 4), FINGERPRINT, trained))
    maps = {"map_shape": [4, 4], "weights_sha256": "0" * 64}
    save_model(str(tmp_path / URLS["model file"]), Model(load_checkpoint(url), "unatt", maps, trained_on=("c",)))
    return tmp_path


def without_kind(url):
    """Rewrite a file as programs did that knew no kinds."""
    file = read_tensors(url)
    safetensors.torch.save_file(file.tensors, url, {"attn": file.text})


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("checkpoint", ("cnn", "cnn", None, (), None)),
        ("model file", ("cnn", "unatt", None, ("c",), "unatt")),
        ("energynet", ("energynet", "energynet", FINGERPRINT, ("a", "b"), None)),
        ("folder", ("energynet", "energynet", FINGERPRINT, ("a", "b"), None)),
    ],
)
def test_a_file_says_its_kind_with_or_without_metadata(files, name, expected, legacy):
    file = str(files / URLS["energynet" if name == "folder" else name])
    if legacy:
        without_kind(file)
    model, written = open_model(str(files / URLS[name])), read_tensors(file).kind
    assert (written and written.name) == (None if legacy else expected[0])
    assert model.class_names == NAMES
    assert (model.kind, model.scorer.name, model.fingerprint, model.trained_on, model.method) == expected
    assert (model.cnn is None) == (expected[0] == "energynet")


def test_the_scorer_has_the_weights_of_the_file(files):
    checkpoint, net = open_model(str(files / URLS["checkpoint"])), open_model(str(files / "net"))
    assert isinstance(checkpoint.scorer, CnnVote)
    assert checkpoint.settings == {"weights_sha256": read_tensors(str(files / URLS["checkpoint"])).sha256}
    assert isinstance(net.scorer, EnergyNetScore)
    written = read_tensors(str(files / URLS["energynet"])).tensors
    assert all(torch.equal(tensor, written[name]) for name, tensor in net.scorer.net.state_dict().items())


def rewritten(url, kind, **change):
    file = read_tensors(url)
    write_tensors(url, file.tensors, json.dumps({**json.loads(file.text), **change}), kind)
    return url


def test_a_kind_from_a_newer_version_is_named_with_it(files):
    url = rewritten(str(files / URLS["checkpoint"]), Kind("clip3d", 1, "0.7.0"))
    known = ", ".join(LOADERS)
    said = f"{url}: a model of kind clip3d, which attn knows since version 0.7.0. This version knows {known}: use a"
    with pytest.raises(UsageError, match=f"^{re.escape(said)}"):
        open_model(url)


@pytest.mark.parametrize(("name", "kind"), [("checkpoint", CNN), ("energynet", ENERGYNET)])
def test_a_newer_format_is_named_with_its_version(files, name, kind):
    newer = dataclasses.replace(kind, version=kind.version + 1, since="0.8.0")
    url = rewritten(str(files / URLS[name]), newer)
    with pytest.raises(UsageError, match=rf"{kind.name} in format 2, which attn reads since version 0\.8\.0\."):
        open_model(url)


def test_a_kind_is_not_taken_for_another(files):
    with pytest.raises(UsageError, match=r"energynet\.safetensors: a model of kind energynet, not cnn\. Give another"):
        load_checkpoint(str(files / URLS["energynet"]))


@pytest.mark.parametrize("version", ["", "x", "0", "-1", "1" * 5000])
def test_a_format_that_is_not_a_number_is_refused(files, version):
    file = read_tensors(url := str(files / URLS["checkpoint"]))
    safetensors.torch.save_file(file.tensors, url, {"attn": file.text, "kind": "cnn", "format_version": version})
    with pytest.raises(UsageError, match="invalid format version"):
        open_model(url)


def test_a_folder_with_no_model_or_two_is_refused(files):
    with pytest.raises(UsageError, match=r"nothing: does not exist\. Check the path"):
        open_model(str(files / "nothing"))
    (files / "nothing").mkdir()
    with pytest.raises(UsageError, match=r"neither a model file nor a folder with cnn\.safetensors or energynet\.s"):
        open_model(str(files / "nothing"))
    (files / URLS["checkpoint"]).rename(files / "net" / "cnn.safetensors")
    with pytest.raises(UsageError, match=r"contains cnn\.safetensors and energynet\.safetensors\. Name one"):
        open_model(str(files / "net"))


def test_a_folder_on_s3(files, s3):
    net = load_energynet(str(files / "net"))
    save_energynet(f"{s3}/run", net)
    assert open_model(f"{s3}/run").fingerprint == FINGERPRINT
    with pytest.raises(UsageError, match="nothing: does not exist"):
        open_model(f"{s3}/nothing")
