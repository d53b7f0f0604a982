"""Plan of a CNN's training: invalid inputs raise one-line errors before anything is written."""

import dataclasses
import logging
import os
import shutil

import pytest
import torch

from attn.commands.train_cnn_plan import make_training, start_share
from attn.errors import UsageError
from attn.models.backbone import build_backbone
from attn.training.finetune_config import LR
from attn.training.recipe import paper_recipe
from attn.training.run import TrainRun


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
        ({"std": (0.5, 0.5, float("inf"))}, "--std 0.5 0.5 inf: must be finite and above 0"),
        ({"mean": (0.5, 0.5, float("nan"))}, "--mean 0.5 0.5 nan: must be finite"),
        ({"cache": "s3://bucket/cache"}, "--cache"),
        ({"cache": __file__}, "test_train_cnn_plan.py: a file exists where a folder is needed"),
        ({"classes": "missing.txt"}, "missing.txt"),
    ],
)
def test_what_cannot_be_is_refused(options, changes, message):
    with pytest.raises(UsageError, match=message):
        make_training(dataclasses.replace(options, **changes))


def test_one_class_is_refused(options, photographs, tmp_path):
    shutil.copytree(photographs / "cold", tmp_path / "one" / "cold")
    with pytest.raises(UsageError, match="only one class, cold"):
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


def test_the_start_has_half_the_weight_if_videos_change_what_it_knows(options, tmp_path):
    knows, other = (state_dict(tmp_path / f"{count}.pth", "small_cnn", count) for count in (2, 5))
    share = lambda **change: make_training(dataclasses.replace(options, **change)).job.start_share  # noqa: E731
    assert share(weights=knows) == 0  # more Web images
    job = make_training(dataclasses.replace(options, weights=knows)).job
    videos = dataclasses.replace(job.options, images=None, videos="videos")
    assert start_share(videos, "nothing") == 0.5
    assert start_share(videos, "classifier") == start_share(videos, "all") == 0
    assert start_share(dataclasses.replace(videos, start_share=0.25), "classifier") == 0.25
    assert start_share(paper_recipe(videos), "nothing") == 0
    assert share(weights=other, start_share=0.3) == 0.3


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
    """`decisive` is what a training wrote before these settings existed, so that it can resume."""
    usual = make_training(options).run.decisive
    assert not {"lr_decay_after", "lr_decay"} & usual.keys()
    assert usual["lr"] == LR
    for change in ({"lr_decay_after": 0.5}, {"lr_decay": 0.5}):
        assert make_training(dataclasses.replace(options, **change)).run.decisive == usual | change


PAPER_RUN = {"lr": 1e-3, "head_lr": 1e-2}
"""Learning rates recorded by a training with default flags, before recipes existed."""


def begun_before(options, **recorded):
    """Create the run folder of a training from before recipes existed; return its `decisive`."""
    run = make_training(paper_recipe(options)).run
    unnamed = {"recipe", "warmup", "clip_norm", "balanced", "epoch_updates", "keep_by"}
    assert unnamed < run.decisive.keys()
    old = {name: value for name, value in run.decisive.items() if name not in unnamed} | recorded
    TrainRun(options.out, old).begin({})
    return old


@pytest.fixture
def plain(options):
    """Options without the values that a recipe sets."""
    return dataclasses.replace(options, head_lr=None)


def test_a_training_begun_before_recipes_goes_on_as_it_began(plain, caplog):
    old = begun_before(plain)
    assert old | PAPER_RUN == old
    with caplog.at_level(logging.INFO):
        training = make_training(plain)
    assert "started before recipes existed. Resuming with --recipe paper." in caplog.text
    assert training.run.decisive == old
    assert training.run.report() is None  # the options are accepted
    options = training.job.options
    assert (options.recipe, options.warmup, options.clip_norm, options.balanced) == ("paper", 0, 0.0, False)
    assert make_training(paper_recipe(plain)).run.decisive == old


@pytest.mark.parametrize("given", [{"lr": 0.5}, {"head_lr": 0.3}, {"lr": 3e-4}])
def test_so_does_one_whose_command_says_a_rate(plain, given):
    old = begun_before(plain, **given)
    assert make_training(dataclasses.replace(plain, **given)).run.decisive == old


def test_other_flags_than_it_began_with_are_refused(plain):
    begun_before(plain)
    with pytest.raises(UsageError, match=r"warmup: 7 here, null there"):
        make_training(dataclasses.replace(plain, warmup=7)).run.report()


def test_a_recipe_is_part_of_what_a_training_of_today_records(plain):
    steady, paper = make_training(plain).run, make_training(paper_recipe(plain)).run
    assert (steady.decisive["recipe"], steady.decisive["warmup"]) == ("steady", 50)
    paper.begin({})
    assert make_training(paper_recipe(plain)).run.report() is None
    with pytest.raises(UsageError, match=r"recipe: .steady. here, .paper. there"):
        make_training(plain).run.report()


def test_a_touched_image_is_prepared_anew(options, photographs, tmp_path):
    moved = shutil.copytree(photographs, tmp_path / "moved")
    here = dataclasses.replace(options, images=str(moved))
    before = make_training(here).job.pictures.cache_key
    assert make_training(here).job.pictures.cache_key == before
    os.utime(moved / "cold" / "00.png", ns=(0, 0))
    assert make_training(here).job.pictures.cache_key != before


@pytest.mark.parametrize(
    ("name", "today", "then", "other"), [("epoch_updates", 30, 1, 5), ("keep_by", "loss", "accuracy", "loss")]
)
def test_a_training_begun_before_a_setting_goes_on_without(options, video_training, name, today, then, other):
    """Frames have other defaults today."""
    options = dataclasses.replace(video_training, out=options.out, **{name: None})
    run = make_training(options).run
    assert run.decisive[name] == today
    old = TrainRun(run.out, {key: value for key, value in run.decisive.items() if key != name})
    old.begin({})
    resumed = make_training(options)
    assert getattr(resumed.job.options, name) == then
    assert resumed.run.decisive == old.decisive
    with pytest.raises(UsageError, match=f'{name}: "?{other}"? here'):
        make_training(dataclasses.replace(options, **{name: other})).run.report()
