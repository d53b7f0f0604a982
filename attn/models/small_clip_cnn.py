"""A small network for clips that trains on a CPU in minutes, for experiments and tests.

The price: pretrained weights do not exist.
"""

from itertools import pairwise

from torch import nn

WIDTHS = (3, 16, 24, 32, 48, 64)
KERNELS = ((1, 5, 5), (3, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3))
STRIDES = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (1, 1, 1), (2, 1, 1))
BLOCK_4 = 4
"""Number of layers up to the end of block 4; the remaining one is block 5."""


class SmallClipCnn(nn.Module):
    """Five 3-D convolutions with BatchNorm and ReLU, without a classifier.

    A clip of 16 frames of 64×64 pixels gives 48 × 8 × 8 × 8 values after block 4 and 64 × 4 × 8 × 8 after block 5: maps
    keep the resolution of block 4. 0.19 M parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        layers = zip(pairwise(WIDTHS), KERNELS, STRIDES, strict=True)
        self.features = nn.Sequential(*(_conv(before, after, kernel, by) for (before, after), kernel, by in layers))


def _conv(before: int, after: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> nn.Sequential:
    time, rows, cols = kernel
    padding = (time // 2, rows // 2, cols // 2)
    conv = nn.Conv3d(before, after, kernel, stride=stride, padding=padding, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm3d(after), nn.ReLU(inplace=True))
