"""Simulated video camera: it sways, is slightly out of focus, and has poor light and a noisy sensor."""

from dataclasses import dataclass
from math import pi, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from attn.synthetic.shift import DomainShift

SWAY_FRAMES = 90
"""Period of the sway in frames."""


@dataclass(frozen=True)
class Camera:
    """Camera of one video. Its values are drawn from the ranges of `DomainShift`."""

    drift: float
    sway: tuple[float, float]
    """Phases of the horizontal and the vertical sway."""
    blur: float
    noise: float
    exposure: float
    quantiser: int

    def offset(self, frame: float) -> tuple[float, float]:
        """Return the displacement of the picture to the right and down, as a share of its height."""
        dx, dy = (self.drift * sin(2 * pi * frame / SWAY_FRAMES + phase) for phase in self.sway)
        return dx, dy

    def record(self, picture: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the recorded frame `[row, col, channel]`, before compression."""
        soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(self.blur)), np.float32)
        grain = rng.standard_normal(soft.shape, np.float32) * np.float32(self.noise)
        return np.clip(soft * np.float32(self.exposure) + grain, 0, 255).astype(np.uint8)


def random_camera(rng: np.random.Generator, shift: DomainShift) -> Camera:
    """Draw the camera of one video."""
    first, second = rng.uniform(0, 2 * pi, 2).tolist()
    return Camera(
        drift=shift.drift,
        sway=(first, second),
        blur=rng.uniform(*shift.blur),
        noise=rng.uniform(*shift.noise),
        exposure=rng.uniform(*shift.exposure),
        quantiser=int(rng.integers(shift.quantiser[0], shift.quantiser[1] + 1)),
    )
