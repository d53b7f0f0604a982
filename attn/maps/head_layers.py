"""Reading a head: which layers it is a chain of, and which of them only move the gradient about.

The way to the maps of all classes is chosen from this, not from the network's name, so a network no one has heard of
gets the fast way too if its head allows it.
"""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

_SUM_CONSERVING = (nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


def head_layers(head: nn.Module) -> list[nn.Module]:
    """The layers of a head in eval mode, in order, without those that do nothing there (Dropout, Identity).

    Only plain `nn.Sequential`s are opened: what any other module does between its children is not for us to guess.
    """
    if isinstance(head, nn.Sequential) and type(head).forward is nn.Sequential.forward:
        return [layer for part in head for layer in head_layers(part)]
    return [] if isinstance(head, _DropoutNd | nn.Identity) else [head]


def split_pooling(layers: Sequence[nn.Module]) -> tuple[list[nn.Module], list[nn.Module]]:
    """The pooling layers in front, and the rest.

    These layers conserve the spatial sum of a gradient: max-pooling hands each number on to exactly one cell, ties or
    not, and adaptive pooling spreads it with weights that add up to 1, overlapping bins or not. Grad-CAM needs nothing
    but that sum, so the gradient need not be taken through them.
    """
    count = 0
    while count < len(layers) and type(layers[count]) in _SUM_CONSERVING:
        count += 1
    return list(layers[:count]), list(layers[count:])


def pooled_cells(pooling: Sequence[nn.Module]) -> int | None:
    """Cells that the pooling leaves of any map, where that is fixed: 49 for VGG, 1 for global pooling."""
    last = pooling[-1] if pooling else None
    if not isinstance(last, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        return None
    rows, cols = last.output_size if isinstance(last.output_size, tuple) else (last.output_size, last.output_size)
    return None if rows is None or cols is None else rows * cols


def is_flatten(layer: nn.Module) -> bool:
    """Everything behind the batch axis becomes one axis."""
    return isinstance(layer, nn.Flatten) and (layer.start_dim, layer.end_dim) == (1, -1)


def apply(layers: Sequence[nn.Module], value: Tensor) -> Tensor:
    """One layer after the other."""
    for layer in layers:
        value = layer(value)
    return value


def class_chunks(num_classes: int, *, class_bytes: int, budget_bytes: int) -> Iterator[slice]:
    """Runs of classes whose intermediate results fit the budget together; a single class may exceed it."""
    step = max(1, budget_bytes // max(1, class_bytes))
    for start in range(0, num_classes, step):
        yield slice(start, min(start + step, num_classes))
