"""What is refused before anything starts: one line each, and nothing written."""

import dataclasses
import os
import shutil

import pytest
import torch

from attn.engine.training.cnn_plan import make_training
from attn.errors import UsageError
from attn.models.backbone import build_backbone


@pytest.fixture
def options(training, tmp_path):
    return dataclasses.replace(training, out=str(tmp_path / "out" / "cnn.safetensors"))


def state_dict(path, backbone, num_classes=2, **changes):
    weights = build_backbone(backbone, num_classes).export_weights() | changes
    torch.save({name: tensor.clone() for name, tensor in weights.items()}, path)
    return str(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": "nowhere"}, "nowhere.*does not exist"),
        ({"backbone": "resnet1"}, "resnet1"),
        ({"epochs": 0}, "--epochs 0"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"workers": 0}, "--workers 0"),
        ({"workers": 8}, "--workers 8"),
        ({"lr": 0.0}, "--lr 0"),
        ({"head_lr": float("nan")}, "--head-lr nan"),
        ({"momentum": 1.0}, "--momentum 1"),
        ({"weight_decay": -1.0}, "--weight-decay -1"),
        ({"validation_fraction": 0.0}, "--validation-fraction 0"),
        ({"validation_fraction": 1.0}, "--validation-fraction 1"),
        ({"seed": -1}, "--seed -1"),
        ({"input_size": 0}, "--input-size 0"),
        ({"std": (0.5, 0.5, 0.0)}, "--std"),
        ({"backbone": "densenet121", "input_size": 8}, "8 pixels"),
        ({"cache": "s3://bucket/cache"}, "--cache"),
        ({"classes": "missing.txt"}, "missing.txt"),
    ],
)
def test_what_cannot_be_is_refused(options, changes, message):
    with pytest.raises(UsageError, match=message):
        make_training(dataclasses.replace(options, **changes))


def test_one_class_is_refused(options, photographs, tmp_path):
    shutil.copytree(photographs / "cold", tmp_path / "one" / "cold")
    with pytest.raises(UsageError, match="one class, cold"):
        make_training(dataclasses.replace(options, images=str(tmp_path / "one")))


def test_weights_of_another_network_and_damaged_ones_are_refused(options, tmp_path):
    other = state_dict(tmp_path / "other.pth", "squeezenet1_1")
    with pytest.raises(UsageError, match="small_cnn"):
        make_training(dataclasses.replace(options, weights=other))
    nan = state_dict(tmp_path / "nan.pth", "small_cnn", **{"classifier.bias": torch.full((2,), torch.nan)})
    with pytest.raises(UsageError, match=r"classifier\.bias"):
        make_training(dataclasses.replace(options, weights=nan))


def test_random_weights_follow_from_the_seed_and_leave_the_global_state_alone(options):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    networks = [make_training(dataclasses.replace(options, seed=seed))[2].backbone for seed in (0, 0, 1)]
    assert torch.rand(1) == expected
    one, same, other = (network.export_weights()["features.0.0.weight"] for network in networks)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("num_classes", "batchnorm", "fresh", "frozen"),
    [
        (None, "auto", "all", False),
        (None, "frozen", "all", True),
        (2, "auto", "nothing", True),
        (5, "train", "classifier", False),
    ],
)
def test_start_weights_decide_what_is_fresh_and_whether_batchnorm_learns(
    options, tmp_path, num_classes, batchnorm, fresh, frozen
):
    weights = state_dict(tmp_path / "start.pth", "small_cnn", num_classes) if num_classes else None
    _, job, cnn, *_ = make_training(dataclasses.replace(options, weights=weights, batchnorm=batchnorm))
    assert (job.fresh, job.freeze_batchnorm) == (fresh, frozen)
    assert cnn.backbone.num_classes == 2


def test_the_fingerprint_follows_what_is_learnt_and_not_where(options, photographs, tmp_path):
    name = make_training(options)[0].name
    moved = shutil.copytree(photographs, tmp_path / "moved")
    same = dataclasses.replace(
        options, images=str(moved), workers=2, cache=str(tmp_path), out=str(tmp_path / "b.safetensors")
    )
    assert make_training(same)[0].name == name
    (moved / "cold" / "00.png").unlink()
    assert make_training(same)[0].name != name
    assert make_training(dataclasses.replace(options, lr=0.5))[0].name != name


def test_settings_that_came_later_are_named_only_where_they_are_not_as_usual(options):
    """`decisive` is what a training of before there was a choice wrote, so that it goes on."""
    usual = make_training(options).run.decisive
    assert not {"lr_decay_after", "lr_decay"} & usual.keys()
    assert usual["lr"] == options.lr
    for change in ({"lr_decay_after": 0.5}, {"lr_decay": 0.5}):
        assert make_training(dataclasses.replace(options, **change)).run.decisive == usual | change


def test_a_touched_image_is_prepared_anew(options, photographs, tmp_path):
    moved = shutil.copytree(photographs, tmp_path / "moved")
    here = dataclasses.replace(options, images=str(moved))
    before = make_training(here).job.pictures.cache_key
    assert make_training(here).job.pictures.cache_key == before
    os.utime(moved / "cold" / "00.png", ns=(0, 0))
    assert make_training(here).job.pictures.cache_key != before
