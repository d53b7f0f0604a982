"""The life of a pixel cache is tested in test_array_cache, its content in test_images and test_frames."""

import json
from pathlib import Path

import numpy as np
import pytest

from attn.training.pixels import cache_pixels


def test_a_cache_of_an_earlier_version_is_used_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 2, 2, 3), np.uint8)
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "pixels.u8").write_bytes(pixels.tobytes())
    manifest = {"preprocessing": "any", "skipped": {"1": "a.jpg: not an image"}, "not_given": [1]}
    (tmp_path / "key" / "manifest.json").write_text(json.dumps(manifest, indent=1))
    told = []
    cache = cache_pixels(3, 2, "key", tmp_path, pytest.fail, stale=lambda found: told.append(found) or False)
    np.testing.assert_array_equal(cache.pixels, pixels)
    assert cache.skipped == {1: "a.jpg: not an image"}
    assert told == [manifest]
