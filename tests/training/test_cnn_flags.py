"""Valid combinations of flags, and defaults that depend on other flags."""

import dataclasses

import pytest

from attn.errors import UsageError
from attn.training.cnn_flags import resolve
from attn.training.cnn_options import TrainCnnOptions
from attn.training.recipe import paper_recipe

IMAGES = TrainCnnOptions(images="web", backbone="small_cnn", out="cnn.safetensors")
VIDEOS = TrainCnnOptions(videos="videos", split="list.txt", backbone="small_cnn", out="cnn.safetensors")


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        (IMAGES, {"images": None}, "--images, --videos or --flow"),
        (IMAGES, {"videos": "videos", "split": "list.txt"}, "--images, --videos or --flow"),
        (VIDEOS, {"split": None}, "--videos: requires --split"),
        (IMAGES, {"split": "list.txt"}, "--split: applies only to --videos"),
        (IMAGES, {"fraction": 0.2}, "--fraction: applies only to --videos"),
        (IMAGES, {"stride": 1}, "--stride: applies only to --videos"),
        (IMAGES, {"fps": 2.0}, "--fps: applies only to --videos"),
        (IMAGES, {"frames": "frames"}, "--frames: applies only to --videos"),
        (IMAGES, {"allow_missing": True}, "--allow-missing: applies only to --videos"),
        (IMAGES, {"max_failed_fraction": 0.5}, "--max-failed-fraction: applies only to --videos"),
        (IMAGES, {"mix_images": "web"}, "--mix-images: applies only to --videos"),
        (
            VIDEOS,
            {"mix_images": "web", "batch_size": 1},
            "--batch-size 1: a batch with --mix-images has at least one frame and one Web image. Give 2 or more.",
        ),
        (VIDEOS, {"mix_images": "web", "batch_size": 6, "workers": 4}, "--workers 4: a batch has only 3 frames"),
        (VIDEOS, {"fraction": 0.0}, "--fraction 0"),
        (VIDEOS, {"fraction": 1.5}, r"--fraction 1\.5"),
        (VIDEOS, {"max_failed_fraction": -0.1}, r"--max-failed-fraction -0\.1"),
        (VIDEOS, {"validation_fraction": 0.0}, "--validation-fraction 0"),
        (VIDEOS, {"epochs": 0}, "--epochs 0"),
        (VIDEOS, {"warmup": -1}, "--warmup -1: too small. Give 0 or more updates"),
        (VIDEOS, {"clip_norm": -1.0}, "--clip-norm -1: out of range. Give a norm above 0, or 0 for no clipping"),
        (VIDEOS, {"clip_norm": float("inf")}, "--clip-norm inf"),
        (IMAGES, {"lr_decay_after": -0.1}, r"--lr-decay-after -0\.1: out of range\. Give a number from 0 to 1"),
        (IMAGES, {"lr_decay_after": 1.1}, r"--lr-decay-after 1\.1: out of range\. Give a number from 0 to 1"),
        (VIDEOS, {"lr_decay_after": float("nan")}, "--lr-decay-after nan"),
        (IMAGES, {"lr_decay": 0.0}, r"--lr-decay 0: out of range\. Give a number above 0 and up to 1"),
        (IMAGES, {"lr_decay": 1.5}, r"--lr-decay 1\.5: out of range\. Give a number above 0 and up to 1"),
        (VIDEOS, {"lr_decay": float("nan")}, "--lr-decay nan"),
    ],
)
def test_what_cannot_be_is_one_line(options: TrainCnnOptions, changes: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        resolve(dataclasses.replace(options, **changes))
    assert "\n" not in str(error.value)


def test_images_and_videos_have_their_own_length_and_share() -> None:
    for options, epochs, share in ((IMAGES, 30, 0.3), (VIDEOS, 10, 0.1)):
        found = resolve(options)
        assert (found.epochs, found.validation_fraction) == (epochs, share)
        given = dataclasses.replace(
            options,
            epochs=3,
            epoch_updates=5,
            keep_by="accuracy",
            validation_fraction=0.5,
            lr=0.1,
            head_lr=0.5,
            clip_norm=2.0,
            lr_decay_after=1.0,
            lr_decay=1.0,
        )
        assert resolve(given) == given


def test_web_images_in_the_batches_allow_a_higher_rate() -> None:
    assert resolve(VIDEOS).lr == 3e-4
    assert resolve(dataclasses.replace(VIDEOS, mix_images="web")).lr == 1e-3


def test_a_network_that_is_drawn_as_a_whole_learns_faster_and_unclipped() -> None:
    for weights, rate, clip in ((None, 1e-2, 0.0), ("imagenet", 3e-3, 1.0)):
        found = resolve(dataclasses.replace(IMAGES, weights=weights))
        assert (found.head_lr, found.clip_norm) == (rate, clip)
    assert resolve(paper_recipe(dataclasses.replace(IMAGES, weights="imagenet"))).head_lr == 1e-2


def test_a_flag_that_contradicts_the_recipe_is_refused() -> None:
    paper = paper_recipe(VIDEOS)
    assert (paper.recipe, paper.lr, paper.warmup, paper.clip_norm, paper.balanced) == ("paper", 1e-3, 0, 0.0, False)
    assert resolve(paper).lr == 1e-3
    for change, said in (
        ({"lr": 3e-4}, r"--recipe paper: it sets --lr to 0\.001, not 0\.0003\. Omit one of the two flags\.$"),
        ({"balanced": True}, r"--recipe paper: it sets --balanced to off, not on\."),
        ({"clip_norm": 1.0}, r"--recipe paper: it sets --clip-norm to 0, not 1\."),
    ):
        with pytest.raises(UsageError, match=said):
            resolve(dataclasses.replace(paper, **change))
    assert resolve(dataclasses.replace(VIDEOS, lr=0.5)).lr == 0.5
