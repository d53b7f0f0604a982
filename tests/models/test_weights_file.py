import contextlib
import dataclasses
import io
import json
import os
import pickle
import pickletools
import zipfile
from pathlib import Path
from random import Random

import pytest
import safetensors.torch
import torch

from attn.errors import UsageError
from attn.models.weights_file import Description, read_weights_file, write_weights_file
from attn.video.transform import Resampling

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.seen": torch.tensor(7)}
DESCRIPTION = Description(
    "small_cnn", ("kiss", "hug"), 112, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), {"epochs": 3, "on": "Küsse"}
)


def equal(found: dict, expected: dict) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


def test_reads_what_it_wrote(tmp_path):
    url = str(tmp_path / "new folder" / "cnn.safetensors")
    sha256 = write_weights_file(url, TENSORS, DESCRIPTION)
    file = read_weights_file(url)
    assert equal(file.tensors, TENSORS)
    assert file.described == DESCRIPTION
    assert file.sha256 == sha256
    assert len(sha256) == 64


def test_equal_weights_make_equal_bytes(tmp_path):
    backwards = dict(reversed(TENSORS.items()))
    one = write_weights_file(str(tmp_path / "1.safetensors"), TENSORS, DESCRIPTION)
    two = write_weights_file(str(tmp_path / "2.safetensors"), backwards, DESCRIPTION)
    other = dataclasses.replace(DESCRIPTION, input_size=113)
    assert one == two != write_weights_file(str(tmp_path / "3.safetensors"), TENSORS, other)


def test_tensors_in_any_memory_layout_are_written(tmp_path):
    url = str(tmp_path / "cnn.safetensors")
    kernel = torch.rand(4, 3, 2, 2)
    write_weights_file(url, {"kernel": kernel.to(memory_format=torch.channels_last)}, DESCRIPTION)
    assert torch.equal(read_weights_file(url).tensors["kernel"], kernel)


@pytest.mark.parametrize("suffix", ["pth", "pt", "pth.tar", "ckpt", "bin"])
def test_reads_a_bare_state_dict(tmp_path, suffix):
    url = str(tmp_path / f"net.{suffix}")
    torch.save(TENSORS, url)
    file = read_weights_file(url)
    assert equal(file.tensors, TENSORS)
    assert file.described is None


def test_tensors_of_a_trainings_checkpoint_are_read_beside_plain_values(tmp_path):
    net = torch.nn.Linear(2, 3)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [3, 7])
    rest = {"optimizer": optimiser.state_dict(), "schedule": schedule.state_dict(), "device": torch.device("cpu")}
    content = {"epoch": 3, "arch": "resnet18", "dtype": torch.float32, "state_dict": net.state_dict(), **rest}
    torch.save(content, tmp_path / "net.pth")
    found = read_weights_file(str(tmp_path / "net.pth")).tensors
    momentum = {f"optimizer.state.{k}.momentum_buffer" for k in (0, 1)}
    assert found.keys() == {"state_dict.weight", "state_dict.bias"} | momentum
    assert torch.equal(found["state_dict.weight"], net.weight)


def test_a_dictionary_that_holds_itself_and_many_that_share_one_are_read_once(tmp_path):
    shared = dict(TENSORS)
    content = {"model": shared, "many": {str(k): {str(n): shared for n in range(300)} for k in range(300)}}
    content["again"] = content
    torch.save(content, tmp_path / "net.pth")
    assert read_weights_file(str(tmp_path / "net.pth")).tensors.keys() == {f"model.{name}" for name in TENSORS}


def test_safetensors_of_another_program_describe_nothing(tmp_path):
    safetensors.torch.save_file(TENSORS, tmp_path / "net.safetensors", metadata={"format": "pt"})
    assert read_weights_file(str(tmp_path / "net.safetensors")).described is None


class Trap:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_nothing_in_a_file_is_executed(tmp_path, save):
    save({"weight": Trap(tmp_path / "executed")}, tmp_path / "trap.pth")
    with pytest.raises(UsageError, match=r"trap\.pth: contains more than tensors"):
        read_weights_file(str(tmp_path / "trap.pth"))
    assert not (tmp_path / "executed").exists()


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.pth: does not exist"):
        read_weights_file(str(tmp_path / "gone.pth"))


def test_other_suffixes_are_refused():
    with pytest.raises(UsageError, match=r"net\.onnx: not a weights file .* as \.safetensors, \.pth, .* or \.bin\.$"):
        read_weights_file("net.onnx")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_half_a_file_is_refused(tmp_path, suffix, length):
    whole = tmp_path / f"whole.{suffix}"
    (torch.save if suffix == "pth" else safetensors.torch.save_file)(TENSORS, whole)
    (tmp_path / f"half.{suffix}").write_bytes(whole.read_bytes()[:length])
    with pytest.raises(UsageError, match=r"half\.\w+: not a .* file, or incomplete"):
        read_weights_file(str(tmp_path / f"half.{suffix}"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (torch.zeros(3), "contains a Tensor instead of a state dict"),
        ({}, "contains a dict instead of a state dict"),
        ({"epoch": 3, "arch": "resnet18"}, "contains a dict instead of a state dict"),
        ({"a": {"b": {"c": {"d": TENSORS}}}}, "contains a dict instead of a state dict"),
        ({"a": torch.eye(3).to_sparse()}, "more than tensors .torch._utils _rebuild_sparse_tensor.. Save only"),
        ({"a": torch.empty(3, device="meta")}, "more than tensors .torch._utils _rebuild_meta_tensor_no_storage"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path, content, complaint):
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(UsageError, match=complaint):
        read_weights_file(str(tmp_path / "net.pth"))


def refused(path: Path, complaint: str) -> None:
    with pytest.raises(UsageError, match=rf"^{path}{complaint}[^\n]*$"):
        read_weights_file(str(path))


@pytest.mark.parametrize("as_zip", [True, False])
def test_numbers_in_another_order_and_shared_ones_are_read(tmp_path, as_zip):
    numbers = torch.arange(6.0)
    views = {"turned": numbers.reshape(2, 3).T, "part": numbers[2:4], "whole": torch.nn.Parameter(numbers)}
    torch.save(views, tmp_path / "net.pth", _use_new_zipfile_serialization=as_zip)
    assert equal(read_weights_file(str(tmp_path / "net.pth")).tensors, views)


@pytest.mark.usefixtures("limited_memory")
def test_a_storage_that_the_file_names_but_does_not_hold(tmp_path):
    """torch.load gives back memory as it was for it."""
    torch.save({"w": torch.zeros(1000)}, tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    data = (tmp_path / "net.pth").read_bytes()
    stream = io.BytesIO(data)
    for _ in range(4):
        list(pickletools.genops(stream))
    larger = data[: stream.tell()].replace(b"M\xe8\x03", b"J\0\0\0\x06")  # 1000 numbers → 100 million
    (tmp_path / "net.pth").write_bytes(larger + pickle.dumps([], protocol=2))
    refused(tmp_path / "net.pth", ": claims more numbers than the file contains. Give other weights")


def test_a_packed_archive_is_not_unpacked(tmp_path, monkeypatch):
    torch.save({"w": torch.zeros(10**6)}, tmp_path / "plain.pth")
    written = zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, written as packed:
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was unpacked"))
    refused(tmp_path / "packed.pth", ": the archive is compressed. Give the file as torch.save wrote it")


class Filler:
    """Asks for more memory than any tensor of its file."""

    def __reduce__(self):
        return bytearray, (10**6,)


@pytest.mark.parametrize("as_zip", [True, False])
def test_only_tensors_are_made_from_a_file(tmp_path, monkeypatch, as_zip):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("the file was loaded"))
    torch.save({"w": torch.zeros(3), "x": Filler()}, tmp_path / "net.pth", _use_new_zipfile_serialization=as_zip)
    refused(tmp_path / "net.pth", r": contains more than tensors \([_\w]*builtin[s_]* bytearray\)\. Save only")


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_damaged_file_is_read_or_refused(tmp_path, as_zip):
    path = tmp_path / "net.pth"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=as_zip)
    data, random = path.read_bytes(), Random(0)
    for _ in range(300):
        place = random.randrange(len(data))
        path.write_bytes(data[:place] + random.randbytes(1) + data[place + 1 :])
        with contextlib.suppress(UsageError):
            read_weights_file(str(path))


@pytest.mark.parametrize(
    "damage",
    [{"mean": [0.5]}, {"class_names": 3}, {"input_size": "big"}, {"std": None}, {"trained": 3}, {"resampling": "sinc"}],
)
def test_description_that_makes_no_sense_is_refused(tmp_path, damage):
    text = json.dumps({**json.loads(DESCRIPTION.to_json()), **damage})
    safetensors.torch.save_file(TENSORS, tmp_path / "net.safetensors", metadata={"attn": text})
    with pytest.raises(UsageError, match=r"net\.safetensors: invalid metadata for a checkpoint"):
        read_weights_file(str(tmp_path / "net.safetensors"))


def test_description_is_plain_json_for_other_programs():
    described = json.loads(DESCRIPTION.to_json())
    assert described["backbone"] == "small_cnn"
    assert described["class_names"] == ["kiss", "hug"]
    assert Description.from_json(DESCRIPTION.to_json()) == DESCRIPTION


def test_the_resampling_is_described_if_it_is_not_the_default():
    assert "resampling" not in json.loads(DESCRIPTION.to_json())
    other = dataclasses.replace(DESCRIPTION, resampling=Resampling("bicubic", 0.875))
    assert json.loads(other.to_json())["resampling"] == str(other.resampling)
    assert Description.from_json(other.to_json()) == other
