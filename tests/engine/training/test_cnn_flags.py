"""Which flags go together, and what is meant where one is left away."""

import dataclasses

import pytest

from attn.engine.options import TrainCnnOptions
from attn.engine.training.cnn_flags import resolve
from attn.errors import UsageError

IMAGES = TrainCnnOptions(images="web", backbone="small_cnn", out="cnn.safetensors")
VIDEOS = TrainCnnOptions(videos="videos", split="list.txt", backbone="small_cnn", out="cnn.safetensors")


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        (IMAGES, {"images": None}, "--images or --videos"),
        (IMAGES, {"videos": "videos", "split": "list.txt"}, "--images or --videos"),
        (VIDEOS, {"split": None}, "--videos needs --split"),
        (IMAGES, {"split": "list.txt"}, "--split is about --videos"),
        (IMAGES, {"fraction": 0.2}, "--fraction is about --videos"),
        (IMAGES, {"stride": 1}, "--stride is about --videos"),
        (IMAGES, {"fps": 2.0}, "--fps is about --videos"),
        (IMAGES, {"frames": "frames"}, "--frames is about --videos"),
        (IMAGES, {"allow_missing": True}, "--allow-missing is about --videos"),
        (IMAGES, {"max_failed_fraction": 0.5}, "--max-failed-fraction is about --videos"),
        (VIDEOS, {"fraction": 0.0}, "--fraction 0"),
        (VIDEOS, {"fraction": 1.5}, r"--fraction 1\.5"),
        (VIDEOS, {"max_failed_fraction": -0.1}, r"--max-failed-fraction -0\.1"),
        (VIDEOS, {"validation_fraction": 0.0}, "--validation-fraction 0"),
        (VIDEOS, {"epochs": 0}, "--epochs 0"),
        (IMAGES, {"lr_decay_after": -0.1}, r"--lr-decay-after -0\.1: give a share from 0 to 1"),
        (IMAGES, {"lr_decay_after": 1.1}, r"--lr-decay-after 1\.1: give a share from 0 to 1"),
        (VIDEOS, {"lr_decay_after": float("nan")}, "--lr-decay-after nan"),
        (IMAGES, {"lr_decay": 0.0}, "--lr-decay 0: give a share above 0 and up to 1"),
        (IMAGES, {"lr_decay": 1.5}, r"--lr-decay 1\.5: give a share above 0 and up to 1"),
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
        given = dataclasses.replace(options, epochs=3, validation_fraction=0.5, lr_decay_after=1.0, lr_decay=1.0)
        assert resolve(given) == given
