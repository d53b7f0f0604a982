"""CNNs of optical flow: cross-modality initialisation, files, and refusal of other flow."""

import dataclasses
from pathlib import Path

import pytest
import torch

from attn.errors import UsageError
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, cross_modality, load_checkpoint, load_weights, save_checkpoint
from attn.models.flow_input import FlowInput
from tests.flow_stores import new_flow_manifest

FLOW = FlowInput.of(new_flow_manifest(), 5)
CLASSES = ("Down", "Up")


def of_images(backbone: str) -> Cnn:
    torch.manual_seed(0)
    return Cnn(build_backbone(backbone, 2).eval(), backbone, CLASSES, input_size=64)


@pytest.mark.parametrize("backbone", ["small_cnn", "resnet18", "squeezenet1_0"])
def test_the_first_convolution_begins_with_its_mean_over_the_colours(backbone: str) -> None:
    """On a grey image the CNN of images gives what the CNN of flow gives on ten channels of three tenths of it."""
    cnn = of_images(backbone)
    flow = cross_modality(cnn, FLOW)
    assert flow.channels == 10
    assert (flow.input_size, flow.class_names) == (32, CLASSES)
    grey = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        expected = cnn.backbone(grey.expand(-1, 3, -1, -1))
        torch.testing.assert_close(flow.backbone(0.3 * grey.expand(-1, 10, -1, -1)), expected, atol=1e-4, rtol=1e-4)
        assert expected.std() > 0


def test_a_file_brings_its_kind_of_flow_and_is_not_taken_for_a_cnn_of_images(tmp_path: Path) -> None:
    cnn, url = cross_modality(of_images("small_cnn"), FLOW), str(tmp_path / "flow.safetensors")
    save_checkpoint(url, cnn)
    loaded = load_weights(url, of_flow=True)
    assert loaded.flow == FLOW
    assert loaded.resampling == cnn.resampling
    for name, tensor in cnn.backbone.export_weights().items():
        torch.testing.assert_close(loaded.backbone.export_weights()[name], tensor, rtol=0, atol=0)
    for load in (load_weights, load_checkpoint):
        with pytest.raises(UsageError, match=r"flow\.safetensors: a CNN of optical flow\. Give a CNN of images"):
            load(url)


def test_the_file_of_a_cnn_of_images_says_nothing_of_flow(tmp_path: Path) -> None:
    save_checkpoint(str(tmp_path / "rgb.safetensors"), of_images("small_cnn"))
    assert b"flow" not in (tmp_path / "rgb.safetensors").read_bytes()
    assert load_checkpoint(str(tmp_path / "rgb.safetensors")).flow is None


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"bound_px": 10.0}, "bound_px: 10.0 here, 20.0 there"),
        ({"algorithm": "tvl1"}, "algorithm: tvl1 here, dis there"),
        ({"sampling": {"stride": 2}}, "sampling: "),
    ],
)
def test_flow_of_another_kind_is_refused(other, told: str) -> None:
    manifest = new_flow_manifest()
    FLOW.check(dataclasses.replace(manifest, informative={"python": "4"}), store="s", weights="w")
    with pytest.raises(UsageError, match=rf"^s: flow of another kind than w has learnt from \({told}"):
        FLOW.check(dataclasses.replace(manifest, **other), store="s", weights="w")


def test_a_network_with_its_own_normalisation_of_colours_is_refused() -> None:
    with pytest.raises(UsageError, match="googlenet: takes only RGB images"):
        build_backbone("googlenet", 2, 10)
