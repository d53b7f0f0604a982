"""Inspection of a head: its chain of layers, and the leading ones that preserve the gradient's spatial sum.

The route to the maps is chosen by these layers, not by the network's name, so an unknown network uses a fast route if
its head allows it.
"""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

_SUM_CONSERVING = (nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


def head_layers(head: nn.Module) -> list[nn.Module]:
    """Layers of a head in order, without those that have no effect in eval mode (Dropout, Identity).

    Only plain `nn.Sequential`s are flattened, because other modules may do anything between their children.
    """
    if isinstance(head, nn.Sequential) and type(head).forward is nn.Sequential.forward:
        return [layer for part in head for layer in head_layers(part)]
    return [] if isinstance(head, _DropoutNd | nn.Identity) else [head]


def split_pooling(layers: Sequence[nn.Module]) -> tuple[list[nn.Module], list[nn.Module]]:
    """Split layers into the leading pooling layers and the rest.

    These pooling layers preserve the spatial sum of a gradient: max-pooling passes each value to exactly one cell, even
    for ties, and adaptive pooling distributes it with weights that sum to 1, even if bins overlap. Grad-CAM needs only
    that sum, so pooling need not be differentiated.
    """
    count = 0
    while count < len(layers) and type(layers[count]) in _SUM_CONSERVING:
        count += 1
    return list(layers[:count]), list(layers[count:])


def pooled_cells(pooling: Sequence[nn.Module]) -> int | None:
    """Number of cells after pooling, if it is fixed: 49 for VGG, 1 for global pooling; otherwise None."""
    last = pooling[-1] if pooling else None
    if not isinstance(last, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        return None
    rows, cols = last.output_size if isinstance(last.output_size, tuple) else (last.output_size, last.output_size)
    return None if rows is None or cols is None else rows * cols


def is_flatten(layer: nn.Module) -> bool:
    """Return whether a layer flattens all axes except the batch axis."""
    return isinstance(layer, nn.Flatten) and (layer.start_dim, layer.end_dim) == (1, -1)


def is_pointwise(conv: nn.Conv2d) -> bool:
    """Return whether a convolution applies one linear layer to each cell."""
    plain = (conv.stride, conv.padding, conv.groups) == ((1, 1), (0, 0), 1)
    return plain and conv.kernel_size == (1, 1)


def apply(layers: Sequence[nn.Module], value: Tensor) -> Tensor:
    """Apply layers in sequence."""
    for layer in layers:
        value = layer(value)
    return value


def class_chunks(num_classes: int, *, class_bytes: int, budget_bytes: int) -> Iterator[slice]:
    """Consecutive chunks of classes whose intermediate results fit into the budget; a single class may exceed it."""
    step = max(1, budget_bytes // max(1, class_bytes))
    for start in range(0, num_classes, step):
        yield slice(start, min(start + step, num_classes))
