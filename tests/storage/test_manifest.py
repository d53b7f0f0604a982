"""What a store was made from keeps file, fingerprint and schema, whatever other kinds of store there are."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from attn.errors import UsageError
from attn.schema import IMAGE, LABEL
from attn.storage.manifest import SCORE_FIELDS, FrameManifest, Manifest, StoreManifest
from attn.storage.tensors import tensor_shape

FRAMES = FrameManifest(input_size=8, preprocessing="test", sampling={"stride": 5})


# Manifests as they were written before kinds were recorded.
OLD_MAPS = """{"fingerprint": "16d4f4de80ca8e46", "class_names": ["Wave", "Kick", "Hug"], "backbone": "small_cnn",
"weights_sha256": "0000000000000000000000000000000000000000000000000000000000000000", "map_layer": "trunk",
"alpha_reduce": "mean", "input_size": 32, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "preprocessing": "test",
"sampling": {"stride": 5}, "precision": "fp32", "columns": ["logits", "maps"], "num_channels": 4, "map_shape": [4, 4],
"schema_version": 1, "informative": {}}"""
OLD_FRAMES = """{"fingerprint": "ee21dc403c76c06c", "input_size": 8, "preprocessing": "test", "sampling": {"stride": 5},
"columns": ["image"], "schema_version": 1, "informative": {}}"""


def test_an_attention_store_of_today_is_one_of_tomorrow(manifest: Manifest) -> None:
    """Numbers of the program that wrote the first stores: another one would be refused, or would redo them."""
    assert manifest.fingerprint == "3833cefb6230cb1d"
    label = manifest.schema.field(LABEL)
    names = json.loads(label.metadata[b"class_names"])
    assert names == list(manifest.class_names)
    first = label.with_metadata({b"meaning": label.metadata[b"meaning"]})  # the first stores had no names here
    schema = manifest.schema.set(manifest.schema.get_field_index(LABEL), first)
    assert schema.equals(manifest.schema)
    schema = hashlib.sha256(schema.serialize().to_pybytes()).hexdigest()
    assert schema == "b6178165740de310110c71e6afc345305be14f141c88c69ead502a6c32bd7575"


def test_manifests_without_a_kind_still_open_with_their_fingerprints(new_manifest: Callable[..., Manifest]) -> None:
    for kind in (Manifest, StoreManifest):
        assert kind.from_json(OLD_MAPS, where="m") == new_manifest()
    for kind in (FrameManifest, StoreManifest):
        assert kind.from_json(OLD_FRAMES, where="m") == FRAMES
    assert (new_manifest().fingerprint, FRAMES.fingerprint) == ("16d4f4de80ca8e46", "ee21dc403c76c06c")


def test_another_kind_of_maps_is_another_store(new_manifest: Callable[..., Manifest]) -> None:
    similar = new_manifest(map_kind="similarity")
    assert similar.fingerprint != new_manifest().fingerprint == "16d4f4de80ca8e46"
    assert Manifest.from_json(similar.to_json(), where="m") == similar
    assert similar.of(SCORE_FIELDS)["map_kind"] == "similarity"
    with pytest.raises(UsageError, match="the file was edited"):
        Manifest.from_json(_changed(similar, map_kind="gradcam"), where="m")


def test_the_kind_is_a_field_and_no_text_elsewhere_decides_it(manifest: Manifest) -> None:
    assert json.loads(manifest.to_json())["kind"] == "attention store"
    assert json.loads(FRAMES.to_json())["kind"] == "frame store"
    misleading = FrameManifest(8, 'crop of "class_names"', {"stride": 5}, informative={"class_names": ["Wave"]})
    assert StoreManifest.from_json(misleading.to_json(), where="m") == misleading


def _changed(manifest: StoreManifest, *, keep_fingerprint: bool = True, **fields: Any) -> str:
    told = {**json.loads(manifest.to_json()), **fields}
    if not keep_fingerprint:  # as the newer program would compute it, over fields that this one does not know
        told["fingerprint"] = "0123456789abcdef"
    return json.dumps(told)


@pytest.mark.parametrize("kind", [Manifest, StoreManifest])
def test_stores_of_a_newer_program(kind: type[StoreManifest], manifest: Manifest) -> None:
    newer = r"Use the version that made the store, or a newer one\.$"
    assert kind.from_json(_changed(manifest, author="me", a=[1]), where="m") == manifest
    with pytest.raises(UsageError, match=rf"^m: this version of attn does not know crop, flip\. {newer}"):
        kind.from_json(_changed(manifest, keep_fingerprint=False, flip=True, crop=3), where="m")
    with pytest.raises(
        UsageError, match=rf"^m: this version of attn does not know stores of kind 'depth store'\. {newer}"
    ):
        kind.from_json(_changed(manifest, kind="depth store"), where="m")
    with pytest.raises(UsageError, match=rf"^m: this version of attn reads schema versions up to 1, not 2\. {newer}"):
        kind.from_json(_changed(manifest, schema_version=2, kind="depth store"), where="m")


def test_each_kind_has_columns_of_its_own(new_manifest: Callable[..., Manifest]) -> None:
    odd = new_manifest(columns=("image", "maps"))
    with pytest.raises(
        UsageError, match=r"^m: image is not a column of attention stores \(logits, maps, features, grid\)"
    ):
        Manifest.from_json(odd.to_json(), where="m")
    frames = FrameManifest(8, "test", {"stride": 5}, columns=("maps",))
    with pytest.raises(UsageError, match=r"^m: maps is not a column of frame stores \(image\)"):
        FrameManifest.from_json(frames.to_json(), where="m")
    every = new_manifest(columns=("features", "grid", "logits", "maps"))
    assert Manifest.from_json(every.to_json(), where="m") == every


@pytest.mark.parametrize("text", ["{", "[1]", "{}", '{"schema_version": "1"}', '{"schema_version": 1}', "3"])
def test_other_files_are_not_manifests(text: str) -> None:
    with pytest.raises(UsageError, match=r"^m: not a manifest of attention stores \("):
        Manifest.from_json(text, where="m")


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
