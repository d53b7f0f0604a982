"""A training's folder for caches: a temporary one disappears at its end, or later if the training was killed."""

import os
import time
from pathlib import Path

import pytest
import torch

from attn.storage.stale_files import ORPHAN_AGE_S
from attn.training.cache_folder import cache_folder
from attn.training.group import Group

ALONE = Group.alone(torch.device("cpu"))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def age(folder: Path) -> None:
    then = time.time() - ORPHAN_AGE_S - 60
    os.utime(folder, (then, then))


def killed(folder: Path) -> Path:
    """Folder that a killed training has left."""
    (folder / "cache").mkdir(parents=True)
    return folder


def test_a_temporary_folder_is_removed_at_the_end_and_a_given_one_is_not(temporary: Path) -> None:
    with cache_folder(None, "attn-x-", "1", ALONE) as folder:
        assert folder == temporary / "attn-x-1"
        (folder / "cache").mkdir()
    assert not folder.exists()
    given = killed(temporary / "given")
    with cache_folder(str(given), "attn-x-", "1", ALONE) as folder:
        assert folder == given
    assert (given / "cache").exists()
    assert list(temporary.iterdir()) == [given]


def test_a_killed_training_finds_its_folder_again_and_others_remove_it_when_it_is_old(temporary: Path) -> None:
    own, old, young, other = (killed(temporary / name) for name in ("attn-x-1", "attn-x-2", "attn-x-3", "attn-y-4"))
    for folder in (own, old, other):
        age(folder)
    with cache_folder(None, "attn-x-", "1", ALONE) as folder:
        assert (folder / "cache").exists()
        assert not old.exists()
    assert {*temporary.iterdir()} == {young, other}


def test_a_folder_in_use_is_not_removed_however_old(temporary: Path) -> None:
    with cache_folder(None, "attn-x-", "1", ALONE) as used:
        (used / "cache").mkdir()
        age(used)
        with cache_folder(None, "attn-x-", "2", ALONE):
            assert (used / "cache").exists()


def test_a_training_that_fails_keeps_its_folder_to_resume(temporary: Path) -> None:
    def train() -> None:
        with cache_folder(None, "attn-x-", "1", ALONE) as folder:
            (folder / "cache").mkdir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert (temporary / "attn-x-1" / "cache").exists()
