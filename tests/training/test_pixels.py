"""A pixel cache refuses what has no room, with the numbers. Its life is tested with photographs, in test_images."""

import shutil
from pathlib import Path

import pytest

from attn.errors import UsageError
from attn.training.pixels import cache_pixels


def test_too_little_room_is_said_in_numbers_before_anything_is_filled(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(UsageError, match=r"[\d.]+ GB are free, but the cache needs [\d.]+ GB\. Give another folder"):
        cache_pixels(free // 3, 2, "key", tmp_path, pytest.fail)
    assert not (tmp_path / "key").exists()
