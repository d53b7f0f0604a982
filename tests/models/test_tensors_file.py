import hashlib
import json
import pickle
import struct

import pytest
import safetensors.torch
import torch

from attn.errors import UsageError
from attn.models.tensors_file import METADATA_KEY, Kind, check_finite, parse_tensors, read_tensors, write_tensors

TEXT = json.dumps({"von": "Größe", "rows": [1, 2]}, ensure_ascii=False)
KIND = Kind("cnn", 1, "0.1.0")


@pytest.fixture
def tensors():
    torch.manual_seed(0)
    return {
        "fp32": torch.randn(3, 4),
        "fp16": torch.randn(2).half(),
        "bf16": torch.randn(2).bfloat16(),
        "fp64": torch.randn(2, 2).double(),
        "number": torch.tensor(0.1),
        "empty": torch.zeros(0, 5),
        "int": torch.arange(3),
    }


def same(one, other) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(
        tensor.dtype == other[key].dtype
        and tensor.shape == other[key].shape
        and tensor.contiguous().numpy(force=True).tobytes() == other[key].numpy(force=True).tobytes()
        if tensor.dtype != torch.bfloat16
        else torch.equal(tensor, other[key])
        for key, tensor in one.items()
    )


def test_bit_for_bit(tmp_path, tensors):
    path = tmp_path / "folder" / "a.safetensors"
    digest = write_tensors(str(path), tensors, TEXT, KIND)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    found = read_tensors(str(path))
    assert same(tensors, found.tensors)
    assert (found.text, found.kind, found.sha256) == (TEXT, KIND, digest)


def test_equal_tensors_make_equal_files(tmp_path, tensors):
    digests = {write_tensors(str(tmp_path / name), tensors, TEXT, KIND) for name in "abc"}
    assert len(digests) == 1
    assert write_tensors(str(tmp_path / "d"), tensors, "{}", KIND) not in digests


def test_views_and_learnt_weights_are_written_as_they_look(tmp_path):
    weights = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    write_tensors(str(tmp_path / "a"), {"turned": weights.T, "part": weights[:, 1]}, "{}", KIND)
    found = parse_tensors("a", (tmp_path / "a").read_bytes()).tensors
    assert found["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["part"].tolist() == [1, 4]


def test_to_s3(s3, tensors):
    import s3fs

    digest = write_tensors(f"{s3}/run/a.safetensors", tensors, TEXT, KIND)
    with s3fs.S3FileSystem(use_listings_cache=False).open(f"{s3}/run/a.safetensors", "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == digest


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"kind": "unet"}])
def test_files_of_other_programs_have_no_text(metadata, tensors):
    found = parse_tensors("other.safetensors", safetensors.torch.save(tensors, metadata))
    assert (found.text, found.kind) == (None, None)
    assert found.tensors.keys() == tensors.keys()


def test_a_file_cut_anywhere_is_refused(tmp_path, tensors):
    write_tensors(str(tmp_path / "a"), tensors, TEXT, KIND)
    data = (tmp_path / "a").read_bytes()
    for stop in [*range(0, len(data), 7), len(data) - 1]:
        with pytest.raises(UsageError, match=r"^a\.safetensors: not a safetensors file, or incomplete \([^\n]+\.$"):
            parse_tensors("a.safetensors", data[:stop])


def test_a_bit_flipped_anywhere_is_refused(tmp_path, tensors):
    """But for one in the name of the sum itself, which leaves everything else as it was."""
    write_tensors(str(tmp_path / "a"), tensors, TEXT, KIND)
    data = (tmp_path / "a").read_bytes()
    name = data.index(b"attn_sha256")
    for place in [*range(0, name - 1, 3), *range(name + 12, len(data), 3)]:
        bad = data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]
        with pytest.raises(UsageError, match=r"^a\.safetensors: (the file is damaged|not a safetensors file)[^\n]+$"):
            parse_tensors("a.safetensors", bad)


@pytest.mark.parametrize(("start", "count"), [(-40, 40), (-90, 8)])
def test_a_range_of_zeros_is_refused(tmp_path, tensors, start, count):
    write_tensors(str(tmp_path / "a"), tensors, TEXT, KIND)
    data = (tmp_path / "a").read_bytes()
    start += len(data)
    with pytest.raises(UsageError, match=r"^a: the file is damaged \(checksum mismatch\)\. Copy it again, .*\.$"):
        parse_tensors("a", data[:start] + bytes(count) + data[start + count :])


def test_the_sum_is_that_of_the_file_with_zeros_in_its_place(tmp_path, tensors):
    write_tensors(str(tmp_path / "a"), tensors, json.dumps({"weights": "0" * 64}), KIND)
    data = (tmp_path / "a").read_bytes()
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    blank = data.replace(metadata["attn_sha256"].encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == metadata["attn_sha256"]
    assert parse_tensors("a", data).text == json.dumps({"weights": "0" * 64})


def test_other_programs_read_what_is_written(tmp_path, tensors):
    write_tensors(str(tmp_path / "a.safetensors"), tensors, TEXT, KIND)
    with safetensors.safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata()[METADATA_KEY] == TEXT
        assert (file.metadata()["kind"], file.metadata()["format_version"]) == ("cnn", "1")
        assert same(tensors, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was executed",)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"none\n" * 99,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"\xff\xfe",
        pickle.dumps(Bomb()),
    ],
    ids=["empty", "text", "long header", "list", "no text", "pickle"],
)
def test_other_files_are_refused_and_never_executed(data):
    with pytest.raises(UsageError, match=r"^a: not a safetensors file"):
        parse_tensors("a", data)


def test_a_torch_file_is_refused(tmp_path, tensors):
    torch.save({**tensors, "bomb": Bomb()}, tmp_path / "a.pth")
    with pytest.raises(UsageError, match=r"^a\.pth: not a safetensors file"):
        parse_tensors("a.pth", (tmp_path / "a.pth").read_bytes())


def test_a_header_that_names_its_metadata_but_has_none():
    header = json.dumps({"__metadata__": None, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    data = struct.pack("<Q", len(header)) + header + bytes(4)
    found = parse_tensors("a", data)
    assert (list(found.tensors), found.text) == (["a"], None)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_no_number_is_named(value, tensors):
    check_finite("a.safetensors", tensors)
    tensors["fp16"][1] = value
    with pytest.raises(UsageError, match=r"^a\.safetensors: fp16 contains NaN or infinity\. Give other weights\.$"):
        check_finite("a.safetensors", tensors)


def test_the_metadata_key_is_the_projects():
    assert METADATA_KEY == "attn"
