"""The camera of a video: it sways, it is a little out of focus, the light is poor, and the sensor is noisy."""

from dataclasses import dataclass
from math import pi, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from attn.synthetic.shift import DomainShift

SWAY_FRAMES = 90
"""Frames until the camera is back where it was."""


@dataclass(frozen=True)
class Camera:
    """What one video is taken with; the fields are those of `DomainShift`, drawn."""

    drift: float
    sway: tuple[float, float]
    """Phases of the two directions."""
    blur: float
    noise: float
    exposure: float
    quantiser: int

    def offset(self, frame: int) -> tuple[float, float]:
        """How far the picture is moved to the right and down, as a share of its height."""
        dx, dy = (self.drift * sin(2 * pi * frame / SWAY_FRAMES + phase) for phase in self.sway)
        return dx, dy

    def record(self, picture: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
        """The frame `[row, col, channel]` as recorded, before compression."""
        soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(self.blur)), np.float32)
        grain = rng.standard_normal(soft.shape, np.float32) * np.float32(self.noise)
        return np.clip(soft * np.float32(self.exposure) + grain, 0, 255).astype(np.uint8)


def random_camera(rng: np.random.Generator, shift: DomainShift) -> Camera:
    """The camera of one video."""
    first, second = rng.uniform(0, 2 * pi, 2).tolist()
    return Camera(
        drift=shift.drift,
        sway=(first, second),
        blur=rng.uniform(*shift.blur),
        noise=rng.uniform(*shift.noise),
        exposure=rng.uniform(*shift.exposure),
        quantiser=int(rng.integers(shift.quantiser[0], shift.quantiser[1] + 1)),
    )
