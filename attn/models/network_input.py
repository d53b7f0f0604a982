"""Input that a network expects."""

import dataclasses

from attn.video.transform import BILINEAR, Resampling

Rgb = tuple[float, float, float]

IMAGENET_MEAN: Rgb = (0.485, 0.456, 0.406)
IMAGENET_STD: Rgb = (0.229, 0.224, 0.225)
IMAGENET_INPUT_SIZE = 224


@dataclasses.dataclass(frozen=True)
class NetworkInput:
    """Size, normalisation and resampling of a network's input; the default is that of torchvision's networks here.

    Attributes:
        size: side of the square input, in pixels.
        mean: mean of each channel, for images in 0-1.
        std: standard deviation of each channel, for images in 0-1.
        resampling: part of an image that the network sees, and the interpolation.
    """

    size: int = IMAGENET_INPUT_SIZE
    mean: Rgb = IMAGENET_MEAN
    std: Rgb = IMAGENET_STD
    resampling: Resampling = BILINEAR
