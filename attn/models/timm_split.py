"""Cut of a network of timm between its features and its classifier, through timm's own interface.

Trunk and head are two views of one network: objects of its class that share its layers, each with one part of them. The
trunk's view calls `forward_features`, the head's `forward_head`, so no code of timm is repeated and nothing is hooked.
Tokens become a grid of rows and columns between the two, without prefix tokens (class token, registers).

A network that classifies by its class token has no gradient at the last layer's patch tokens. It is cut before its last
block instead, which mixes the patches into that token.
"""

import copy
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attn.errors import UsageError
from attn.models.token_grid import Grid, differentiable_attention, join_tokens, part_tokens
from attn.models.trunk_head import Split

_EQUAL = 1e-4  # relative difference that rounding does not reach, and random weights exceed if functions differ


def split_timm(name: str, net: Any) -> Split:
    """Cut a network of timm with a classifier; see `cut_timm`.

    Raises:
        UsageError: the classifier is not one linear layer, or does not read a grid of features.
    """
    classifier = _classifier(net)
    if not _is_linear(classifier):
        raise UsageError(
            f"{name}: its classifier is not one linear layer ({type(classifier).__name__}), which maps of all classes "
            "need. Give another --backbone."
        )
    return cut_timm(name, net)


def cut_timm(name: str, net: Any) -> Split:
    """Cut a network of timm, with a classifier or without.

    The head is written as average pooling and a linear layer if it is one, which is tested with random weights, and
    otherwise as average pooling and the rest, if it begins with that. These heads have cheap routes to their maps.

    Args:
        name: name of the backbone, for messages.
        net: network of timm, in any mode and on any device; it is in training mode afterwards.

    Raises:
        UsageError: the head does not read a grid of features.
    """
    from timm.models.vision_transformer import VisionTransformer

    if getattr(net, "global_pool", None) == "token":
        if not isinstance(net, VisionTransformer):
            raise _no_grid(name)
        return _before_last_block(net)
    net.eval()
    layout, used = _layout_and_layers(name, net)
    head = TimmHead(view_of(net, lambda child: child in used or not _has_state(net, child)), layout, _prefix(net))
    trunk = TimmTrunk(view_of(net, lambda child: child not in used), layout, _prefix(net))
    net.train()
    return Split((trunk,), _plain(name, head, _native_shape(net)), "forward_features")


class TimmTrunk(nn.Module):
    """Trunk: a network's features as a grid.

    Args:
        net: view with the layers of `forward_features`.
        layout: axes of its result: NCHW, NHWC or, for tokens, NLC.
        prefix: number of tokens before those of the patches.
    """

    def __init__(self, net: nn.Module, layout: str, prefix: int) -> None:
        super().__init__()
        self.net: Any = net
        self.layout, self.prefix = layout, prefix

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Grid:
        """Compute the grid.

        Raises:
            UsageError: the features are not one grid.
            ValueError: there are more or fewer tokens than cells in a grid of the image's proportions.
        """
        features = self.net.forward_features(images)
        if not isinstance(features, Tensor) or features.dim() != len(self.layout):
            raise UsageError(f"timm's {type(self.net).__name__}: not one grid of features. Give another --backbone.")
        if self.layout == "NLC":
            tokens = features[:, self.prefix :]
            return tokens.transpose(1, 2).unflatten(2, _rows_and_cols(tokens.shape[1], images.shape[2:]))
        return features.permute(0, 3, 1, 2) if self.layout == "NHWC" else features


class TimmHead(nn.Module):
    """Head: a network's pooling and classifier, applied to a grid.

    Args:
        net: view with the layers of `forward_head`.
        layout: axes that `forward_head` takes, see `TimmTrunk`.
        prefix: number of tokens that `forward_head` expects before those of the patches and does not read.
    """

    def __init__(self, net: nn.Module, layout: str, prefix: int) -> None:
        super().__init__()
        self.net: Any = net
        self.layout, self.prefix = layout, prefix
        self.unread = 0.0

    def forward(self, grid: Grid) -> Float[Tensor, "batch cls"]:
        """Compute the logits."""
        with differentiable_attention():
            return self.net.forward_head(self._features(grid))

    def _features(self, grid: Grid) -> Tensor:
        if self.layout == "NLC":
            tokens = grid.flatten(2).transpose(1, 2)
            return torch.cat((tokens.new_full((len(grid), self.prefix, grid.shape[1]), self.unread), tokens), dim=1)
        return grid.permute(0, 2, 3, 1) if self.layout == "NHWC" else grid


class TokenTrunk(nn.Module):
    """Trunk of a network that classifies by its class token: all blocks but the last.

    Its grid has the channels of the patch tokens and, behind them, those of each prefix token, equal in all cells. The
    last block needs them to compute the logits.

    Args:
        net: view without the last block and what follows it.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net: Any = net

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Grid:
        """Compute the grid."""
        ((patches, prefix),) = self.net.forward_intermediates(
            images, indices=1, return_prefix_tokens=True, intermediates_only=True
        )
        return join_tokens(patches, prefix)


class TokenHead(nn.Module):
    """Head of a network that classifies by its class token: its last block, norm, pooling and classifier.

    In evaluation mode, logits have no gradient by the prefix tokens, so these channels add nothing to Grad-CAM, which
    is that of the patch tokens only.

    Args:
        net: view with the last block and what follows it.
        prefix: number of prefix tokens.
    """

    def __init__(self, net: nn.Module, prefix: int) -> None:
        super().__init__()
        self.net: Any = net
        self.prefix = prefix

    def forward(self, grid: Grid) -> Float[Tensor, "batch cls"]:
        """Compute the logits."""
        with differentiable_attention():
            return self.net.forward_head(self._last_tokens(grid))

    def cells(self, grid: Grid) -> Float[Tensor, "cell out"]:
        """Compute the outputs that each patch token would have in place of the class token, of all images in order."""
        return self.net.forward_head(self._last_tokens(grid)[:, self.prefix :].flatten(0, 1)[:, None])

    def _last_tokens(self, grid: Grid) -> Float[Tensor, "batch token dim"]:
        tokens = part_tokens(grid, self.prefix, detach=not self.training)
        return self.net.norm(self.net.blocks(tokens))


def _before_last_block(net: Any) -> Split:
    after = {name for name, _ in net.named_children()} - {"patch_embed", "pos_drop", "patch_drop", "norm_pre", "blocks"}
    trunk, head = (
        view_of(net, lambda child: child not in after),
        view_of(net, lambda child: child in {*after, "blocks"}),
    )
    trunk.blocks, head.blocks = net.blocks[:-1], net.blocks[-1:]
    layers = (TokenTrunk(trunk),), (TokenHead(head, net.num_prefix_tokens),)
    return Split(*layers, map_layer=f"blocks.{len(net.blocks) - 2}")


def view_of(net: nn.Module, keeps: Callable[[str], bool]) -> Any:
    """Object that shares some children and own parameters of a network, and calls its methods."""
    view = copy.copy(net)
    for holder in ("_modules", "_parameters", "_buffers"):
        held: dict[str, Any] = getattr(net, holder)
        setattr(view, holder, {name: each for name, each in held.items() if each is None or keeps(name)})
    return view


def _layout_and_layers(name: str, net: Any) -> tuple[str, set[str]]:
    """Axes that `forward_head` takes, and the children and own parameters that it reads."""
    parameters = dict(net.named_parameters())
    device = next(iter(parameters.values())).device
    grid = torch.ones(2, net.num_features, *_native_shape(net), device=device, requires_grad=True)
    for layout in ("NHWC",) if getattr(net, "output_fmt", None) == "NHWC" else ("NCHW", "NLC"):
        try:
            with torch.enable_grad():
                logits = TimmHead(net, layout, _prefix(net))(grid)
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError, AttributeError):
            continue
        if isinstance(logits, Tensor) and logits.shape == (2, net.num_classes or net.head_hidden_size):
            gradients = torch.autograd.grad(logits.sum(), list(parameters.values()), allow_unused=True)
            read = (key for key, gradient in zip(parameters, gradients, strict=True) if gradient is not None)
            return layout, {key.partition(".")[0] for key in read}
    raise _no_grid(name)


def _plain(name: str, head: TimmHead, shape: tuple[int, int]) -> tuple[nn.Module, ...]:
    """Layers of a head, as plain as they can be written; see `split_timm`."""
    with torch.device("cpu"), torch.no_grad():
        probe, random = _with_random_weights(head), torch.Generator().manual_seed(1)
        probe.unread = math.nan
        grid, other = torch.randn(2, 2, head.net.num_features, *shape, generator=random)
        logits = probe(grid)
        if not logits.isfinite().all() or _alike(logits, probe(other)):
            raise _no_grid(name)
        last = _classifier(probe.net)
        same = _is_linear(last) and last.weight.shape[1] == grid.shape[1]
        if same and _alike(logits, nn.Sequential(*_average_and(last))(grid)):
            return _average_and(_classifier(head.net))
        averages_first = _alike(logits, probe(grid.mean((2, 3), keepdim=True)))
        return (nn.AdaptiveAvgPool2d(1), head) if averages_first else (head,)


def _average_and(classifier: nn.Module) -> tuple[nn.Module, ...]:
    flat = (classifier, nn.Flatten()) if isinstance(classifier, nn.Conv2d) else (nn.Flatten(), classifier)
    return nn.AdaptiveAvgPool2d(1), *flat


def _classifier(net: Any) -> Any:
    found = net.get_classifier()
    return getattr(found, "fc", found)  # some networks return the whole head


def _no_grid(name: str) -> UsageError:
    return UsageError(
        f"{name}: its classifier does not read one grid of features (only timm's VisionTransformer may classify by a "
        "class token). Give another --backbone."
    )


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool((one - other).abs().max() <= _EQUAL * one.abs().max())


def _with_random_weights(head: TimmHead) -> TimmHead:
    """Copy on the CPU with random weights: a fresh norm hardly changes its input, and a fresh scale is 0."""
    probe, random = copy.deepcopy(head).to_empty(device="cpu"), torch.Generator().manual_seed(0)
    for tensor in itertools.chain(probe.parameters(), probe.buffers()):
        if tensor.dim() > 1:
            tensor.normal_(0, tensor[0].numel() ** -0.5, generator=random)
        elif tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5, generator=random)
    return probe


def _is_linear(layer: object) -> bool:
    pointwise = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1
    return isinstance(layer, nn.Linear) or pointwise


def _has_state(net: nn.Module, child: str) -> bool:
    layer = getattr(net, child)
    return isinstance(layer, Tensor) or any(True for _ in itertools.chain(layer.parameters(), layer.buffers()))


def _prefix(net: Any) -> int:
    return getattr(net, "num_prefix_tokens", 0)


def _native_shape(net: Any) -> tuple[int, int]:
    """Rows and columns of the grid at the network's own input size."""
    _, rows, cols = net.pretrained_cfg["input_size"]
    reduction = net.feature_info[-1]["reduction"] if getattr(net, "feature_info", None) else 32
    return rows // reduction, cols // reduction


def _rows_and_cols(tokens: int, image: Iterable[int]) -> tuple[int, int]:
    height, width = image
    rows = max(1, round(math.sqrt(tokens * height / width)))
    if tokens % rows or abs(rows * width - tokens // rows * height) > max(height, width):
        raise ValueError(f"its {tokens} tokens are not a grid over {height} × {width} pixels")
    return rows, tokens // rows
