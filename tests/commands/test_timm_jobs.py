"""A network of timm through the jobs: trained, adapted, its maps stored, with its own input everywhere."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from attn.commands.adapt_cnn import adapt_cnn
from attn.commands.adapt_options import AdaptOptions
from attn.commands.cli import run
from attn.commands.precompute import precompute
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.train_cnn import train_cnn
from attn.engine.exit_codes import EXIT_USAGE
from attn.maps.gradcam import GradCam
from attn.models.backbone import network_input
from attn.models.checkpoint import load_checkpoint, save_checkpoint, untrained_cnn
from attn.storage.store import AttentionStore, FrameStore
from attn.video.transform import Resampling, resize_and_crop

NAMES = ("Wave", "Kick", "Hug")
CLOSER = Resampling("bicubic", 0.95)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Function that writes a checkpoint of a network of timm with random weights, for images of 64 pixels."""

    def write(name):
        torch.manual_seed(0)
        url = str(tmp_path_factory.mktemp("weights") / "cnn.safetensors")
        cnn = untrained_cnn(f"timm:{name}", NAMES, None, None, 64)
        with torch.no_grad():
            cnn.backbone(torch.randn(8, 3, 64, 64))  # BatchNorm gets statistics
        save_checkpoint(url, cnn)
        return url

    return write


def test_maps_are_those_of_frames_as_the_network_expects_them(checkpoint, clip_folder, sequential, tmp_path):
    url, store = checkpoint("test_vit"), str(tmp_path / "store")
    options = PrecomputeOptions(videos=str(clip_folder), out=store, weights=url, columns=("maps", "logits", "grid"))
    assert precompute(options) == 0
    manifest = AttentionStore.open(store).manifest
    assert (manifest.backbone, manifest.map_layer, manifest.map_shape) == ("timm:test_vit", "blocks.4", (4, 4))
    assert (manifest.preprocessing, manifest.num_channels) == (str(CLOSER), 128)
    assert manifest.informative["map_route"] == "vjp"
    assert "timm" in manifest.informative["packages"]

    video = next(iter(AttentionStore.open(store).videos(["maps", "logits", "grid"])))
    (clip,) = clip_folder.rglob(f"{video.video_id}.avi")
    cnn = load_checkpoint(url)
    frames = np.stack([resize_and_crop(image, 64, CLOSER) for image in sequential(clip, 5)])
    images = (torch.from_numpy(frames).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.inference_mode():
        activations = cnn.backbone.trunk(images)
    maps, logits = GradCam.of(cnn.backbone.head)(activations)
    assert torch.allclose(torch.tensor(video.tensors["logits"]), logits, atol=1e-4)
    assert torch.allclose(torch.tensor(video.maps).float(), maps, rtol=2e-3, atol=1e-4)
    assert torch.allclose(torch.tensor(video.tensors["grid"]).float(), activations, rtol=2e-3, atol=1e-3)


def test_a_training_prepares_photographs_as_the_network_expects_them(training, tmp_path):
    options = dataclasses.replace(
        training, backbone="timm:test_convnext", input_size=None, epochs=1, out=str(tmp_path / "cnn.safetensors")
    )
    assert train_cnn(options) == 0
    cnn = load_checkpoint(options.out)
    own = network_input("timm:test_convnext")
    assert (cnn.input_size, cnn.mean, cnn.std, cnn.resampling) == (own.size, own.mean, own.std, own.resampling)
    decisive = json.loads((tmp_path / "cnn.train" / "run.json").read_text())["decisive"]
    assert decisive["preprocessing"] == str(own.resampling) != str(Resampling())


def test_a_training_on_videos_starts_from_it(video_training, tmp_path):
    start = str(tmp_path / "start.safetensors")
    save_checkpoint(start, untrained_cnn("timm:test_resnet", NAMES, None, None, 32))
    options = dataclasses.replace(
        video_training, backbone="timm:test_resnet", weights=start, epochs=1, out=str(tmp_path / "cnn.safetensors")
    )
    assert train_cnn(options) == 0
    assert load_checkpoint(options.out).class_names == ("Kick", "Wave")
    frames = FrameStore.open(str(tmp_path / "cnn.train" / "frames"))
    assert frames.manifest.preprocessing == str(Resampling("bilinear", 0.95))


def test_batchnorm_is_adapted(checkpoint, clip_folder, tmp_path):
    url, out = checkpoint("test_resnet"), str(tmp_path / "out.safetensors")
    assert adapt_cnn(AdaptOptions(url, str(clip_folder), out, stride=1, frames=200)) == 0
    before, after = load_checkpoint(url), load_checkpoint(out)
    changed = {
        key.rpartition(".")[2]
        for key, tensor in after.backbone.export_weights().items()
        if not torch.equal(tensor, before.backbone.export_weights()[key])
    }
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}
    assert after.resampling == Resampling("bilinear", 0.95)


@pytest.mark.parametrize(
    ("name", "images", "said"),
    [
        (
            "test_convnext",
            False,
            "has no BatchNorm and so no statistics to re-estimate. Give its training images",
        ),
        ("test_convnext", True, "because it normalises the map layer itself. Use it without adaptation"),
        ("test_vit", True, "because it normalises the map layer itself. Use it without adaptation"),
    ],
)
def test_layer_norm_has_no_statistics(name, images, said, checkpoint, clip_folder, photographs, tmp_path, capsys):
    given = {"images": str(photographs)} if images else {}
    options = AdaptOptions(checkpoint(name), str(clip_folder), str(tmp_path / "out.safetensors"), **given)
    assert run(adapt_cnn, options) == EXIT_USAGE
    assert said in capsys.readouterr().err
    assert not Path(options.out).exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backbone": "timm:resnet5", "weights": "imagenet"}, "no such network. The nearest are timm:"),
        ({"input_size": 100}, "timm:test_vit: cannot process images of 100 pixels"),
        ({"backbone": "timm:test_resnet"}, "contains a timm:test_vit, not a timm:test_resnet"),
    ],
)
def test_bad_input_is_one_line_before_any_work(change, said, checkpoint, clip_folder, tmp_path, capsys):
    options = PrecomputeOptions(videos=str(clip_folder), out=str(tmp_path / "store"), weights=checkpoint("test_vit"))
    assert run(precompute, dataclasses.replace(options, **change)) == EXIT_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not Path(options.out).exists()
