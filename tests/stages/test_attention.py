"""One CNN actor's work: the stored columns are those of the plain network."""

import dataclasses

import numpy as np
import pytest
import torch

from attn.maps.gradcam import GradCam, attention_maps
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn
from attn.stages.attention import ComputeMaps

COLUMNS = ("maps", "logits", "features", "grid")


@pytest.fixture(scope="module")
def cnn() -> Cnn:
    torch.manual_seed(0)
    return Cnn(
        build_backbone("small_cnn", 3).eval(),
        "small_cnn",
        ("Wave", "Kick", "Hug"),
        input_size=64,
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.25, 0.3),
    )


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)


def test_columns_are_those_of_the_plain_network(cnn: Cnn, images: np.ndarray) -> None:
    found = ComputeMaps(cnn, columns=COLUMNS, precision="fp32", device="cpu")(images)
    scaled = torch.stack([torch.from_numpy(image).float().permute(2, 0, 1) / 255 for image in images])
    normal = (scaled - torch.tensor(cnn.mean).view(3, 1, 1)) / torch.tensor(cnn.std).view(3, 1, 1)
    with torch.no_grad():
        activations = cnn.backbone.trunk(normal)
    maps, logits = attention_maps(activations, cnn.backbone.head)
    expected = {"maps": maps, "logits": logits, "features": activations.mean((2, 3)), "grid": activations}
    for name, values in expected.items():
        assert found[name].dtype == (np.float32 if name == "logits" else np.float16)
        np.testing.assert_allclose(found[name], values.numpy(), rtol=2e-3, atol=1e-5)


def test_only_what_is_asked_for_is_computed(cnn: Cnn, images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Maps of 1000 classes need a hundred times the memory of the other columns."""
    all_of_them = ComputeMaps(cnn, columns=COLUMNS, precision="fp32", device="cpu")(images)
    monkeypatch.setattr(GradCam, "__call__", None)
    without_maps = ComputeMaps(cnn, columns=COLUMNS[1:], precision="fp32", device="cpu")(images)
    assert without_maps.keys() == {"logits", "features", "grid"}
    for name, values in without_maps.items():
        np.testing.assert_allclose(values, all_of_them[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_changes_little(precision: str, cnn: Cnn, images: np.ndarray) -> None:
    exact = ComputeMaps(cnn, columns=COLUMNS, precision="fp32", device="cpu")(images)
    rough = ComputeMaps(cnn, columns=COLUMNS, precision=precision, device="cpu")(images)
    assert not np.array_equal(exact["logits"], rough["logits"])
    scale = np.abs(exact["logits"]).max()
    np.testing.assert_allclose(rough["logits"], exact["logits"], atol=0.05 * scale)


def test_a_batch_of_one_and_of_five_agree(cnn: Cnn, images: np.ndarray) -> None:
    compute = ComputeMaps(cnn, columns=("logits",), precision="fp32", device="cpu")
    alone = np.concatenate([compute(images[i : i + 1])["logits"] for i in range(5)])
    np.testing.assert_allclose(alone, compute(images)["logits"], rtol=1e-4, atol=1e-5)


def test_the_cnn_may_be_read_only_in_memory(cnn: Cnn, images: np.ndarray) -> None:
    """Ray hands objects out as read-only memory."""
    images = images.copy()
    images.setflags(write=False)
    compute = ComputeMaps(dataclasses.replace(cnn), columns=("logits",), precision="fp32", device="cpu")
    assert np.isfinite(compute(images)["logits"]).all()


def test_summed_gradients_make_maps_as_many_times_larger_as_a_map_has_cells(cnn: Cnn, images: np.ndarray) -> None:
    settings = {"columns": ("maps",), "precision": "fp32", "device": "cpu"}
    mean, summed = (ComputeMaps(cnn, **settings, alpha_reduce=how)(images)["maps"] for how in ("mean", "sum"))
    cells = mean.shape[2] * mean.shape[3]
    np.testing.assert_allclose(summed.astype(np.float32), cells * mean.astype(np.float32), rtol=2e-3, atol=1e-3)
