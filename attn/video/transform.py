"""Image preprocessing, identical for photographs and for frames.

If a CNN is trained on photographs and applied to frames, different preprocessing would add to the domain shift.
"""

import dataclasses
import re

import numpy as np
from jaxtyping import UInt8
from PIL import Image

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
"""Pillow's antialiased interpolations by name."""

_CENTRED, _WHOLE = "centred square", "whole image squashed to a square"
_TEXT = re.compile(
    rf"(?:central (?P<crop>[\d.e-]+) of the )?(?P<part>{_CENTRED}|{_WHOLE}), antialiased (?P<interpolation>\w+) "
    r"\(Pillow\), uint8 RGB"
)


@dataclasses.dataclass(frozen=True)
class Resampling:
    """Part of an image that a CNN sees, and the interpolation that brings it to the CNN's input size.

    `str` gives the description for manifests, which `parse` reads. The default's does not mention that decoders yield
    square pixels, so that stores and trainings begun before they did can resume; only videos whose pixels are not
    square differ.

    Attributes:
        interpolation: one of `FILTERS`.
        crop: share of the side of that part that is kept, above 0 and at most 1; the rest is cut off at the borders.
        squash: whether the whole image is squashed to a square, instead of its central square being taken.

    Raises:
        ValueError: a value is out of range.
    """

    interpolation: str = "bilinear"
    crop: float = 1.0
    squash: bool = False

    def __post_init__(self) -> None:
        if self.interpolation not in FILTERS or not 0 < self.crop <= 1:
            raise ValueError(f"interpolation {self.interpolation} or crop {self.crop:g} is not supported")

    def __str__(self) -> str:
        kept = "" if self.crop == 1 else f"central {self.crop!r} of the "
        part = _WHOLE if self.squash else _CENTRED
        return f"{kept}{part}, antialiased {self.interpolation} (Pillow), uint8 RGB"

    @classmethod
    def parse(cls, text: str) -> "Resampling":
        """Resampling of a description; the default's if the text is not one."""
        found = _TEXT.fullmatch(text)
        if found is None:
            return cls()
        return cls(found["interpolation"], float(found["crop"] or 1), found["part"] == _WHOLE)

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the part of an image that the CNN sees, in pixels."""
        cols, rows = (width, height) if self.squash else (min(width, height),) * 2
        left, top = (width - cols * self.crop) / 2, (height - rows * self.crop) / 2
        return left, top, left + cols * self.crop, top + rows * self.crop


BILINEAR = Resampling()
"""Central square, antialiased bilinear interpolation: the preprocessing of all CNNs that do not ask for another."""


def resize_and_crop(
    image: Image.Image | UInt8[np.ndarray, "row col chan"], size: int, resampling: Resampling = BILINEAR
) -> UInt8[np.ndarray, "size size chan"]:
    """Scale the shorter side to `size`, keeping the aspect ratio, and crop the central square.

    Both happen in one step: the largest central square of the source is resampled. The result equals that of two steps
    up to the half pixel by which those round the scaled length and the crop, and nothing larger than the result is
    allocated, however long and thin the image is.

    Args:
        image: upright RGB image with square pixels, as returned by `read_image` and the decoders. Its EXIF data are
            ignored.
        size: side of the result, in pixels.
        resampling: interpolation, and the part of the image that is kept if that is not the largest central square.
    """
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    return np.asarray(
        picture.resize((size, size), FILTERS[resampling.interpolation], box=resampling.box(*picture.size))
    )
