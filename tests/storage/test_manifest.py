"""What a store was made from keeps file, fingerprint and schema, whatever other kinds of store there are."""

import hashlib

import pytest

from attn.errors import UsageError
from attn.schema import IMAGE
from attn.storage.manifest import FrameManifest, Manifest
from attn.storage.tensors import tensor_shape

FRAMES = FrameManifest(input_size=8, preprocessing="test", sampling={"stride": 5})


def test_an_attention_store_of_today_is_one_of_tomorrow(manifest: Manifest) -> None:
    """Numbers of the program that wrote the first stores: another one would be refused, or would redo them."""
    assert manifest.fingerprint == "3833cefb6230cb1d"
    text = hashlib.sha256(manifest.to_json().encode()).hexdigest()
    assert text == "00fcc3a5ebf9fc07a30488909b7d773577750e60b5e2f6b4917c25197b7a349b"
    schema = hashlib.sha256(manifest.schema.serialize().to_pybytes()).hexdigest()
    assert schema == "b6178165740de310110c71e6afc345305be14f141c88c69ead502a6c32bd7575"


def test_frames_are_uint8_pixels_with_their_shape() -> None:
    assert tensor_shape(FRAMES.schema.field(IMAGE)) == (8, 8, 3)
    assert FRAMES.schema.field(IMAGE).type.value_type == "uint8"
    assert FRAMES.schema.metadata[b"fingerprint"].decode() == FRAMES.fingerprint


def test_sampling_and_size_decide_frames_and_what_made_them_does_not() -> None:
    again = FrameManifest.from_json(FRAMES.to_json(), where="m")
    assert again == FRAMES
    informed = FrameManifest(8, "test", {"stride": 5}, informative={"packages": {"av": "9"}})
    assert informed.fingerprint == FRAMES.fingerprint
    for other in (FrameManifest(16, "test", {"stride": 5}), FrameManifest(8, "test", {"fps": 5})):
        assert other.fingerprint != FRAMES.fingerprint
    assert (
        FrameManifest(8, "test", {"stride": 2}).difference(FRAMES)
        == 'sampling: {"stride": 2} here, {"stride": 5} there'
    )


def test_a_difference_may_be_asked_for_in_some_fields_only() -> None:
    other = FrameManifest(input_size=16, preprocessing="new", sampling={"stride": 5})
    assert FRAMES.difference(other) == 'input_size: 8 here, 16 there; preprocessing: "test" here, "new" there'
    assert FRAMES.difference(other, only=("sampling", "input_size")) == "input_size: 8 here, 16 there"
    assert FRAMES.difference(other, only=()) == ""


def test_one_kind_is_not_taken_for_another(manifest: Manifest) -> None:
    with pytest.raises(UsageError, match=r"^m: not a manifest of frame stores \("):
        FrameManifest.from_json(manifest.to_json(), where="m")
    with pytest.raises(UsageError, match=r"^m: not a manifest of attention stores \("):
        Manifest.from_json(FRAMES.to_json(), where="m")
