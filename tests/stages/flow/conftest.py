"""Pairs of frames whose flow is known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

SIZE = 64


def texture(size: int, seed: int = 0) -> np.ndarray:
    """Smooth random RGB image."""
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    blurred = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2.5)), np.float32)
    low, high = blurred.min(), blurred.max()
    return ((blurred - low) / (high - low) * 255).astype(np.uint8)


def moved(right: int, down: int, seed: int = 0, size: int = SIZE) -> np.ndarray:
    """Pair [2, row, col, rgb] whose content moves by whole pixels."""
    whole = texture(size + 16, seed)
    return np.stack([whole[8 - y :][:size, 8 - x :][:, :size] for x, y in ((0, 0), (right, down))])


@pytest.fixture(scope="session")
def translations() -> tuple[np.ndarray, np.ndarray]:
    """Pairs [pair, 2, row, col, rgb] of translated images, and their flow [pair, 2]."""
    flows = [(1, 0), (0, -2), (-1, 1), (2, 1)]
    return np.stack([moved(*flow, seed) for seed, flow in enumerate(flows)]), np.array(flows, np.float32)


@pytest.fixture(scope="session")
def real_pairs(real_data: Path, sequential) -> np.ndarray:
    """Consecutive frames of a real clip, 96 pixels a side."""
    frames = sequential(real_data / "ucf101/UCF-101/SoccerJuggling/v_SoccerJuggling_g23_c01.avi")[:4]
    small = [np.asarray(Image.fromarray(one).resize((96, 96), Image.Resampling.BILINEAR)) for one in frames]
    return np.stack([small[:-1], small[1:]], 1)
