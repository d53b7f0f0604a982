"""A network of timm as this program cuts it, and the same network as timm builds it; and Grad-CAM of the latter."""

from typing import Any

import timm
import torch
from torch import Tensor, nn

from attn.models.backbone import Backbone, build_backbone

NUM_CLASSES = 5


def pair(name: str, rows: int, cols: int, **settings: Any) -> tuple[Backbone, nn.Module, Tensor]:
    """Both with the same random weights, none of them without effect, in eval mode; and two images."""
    torch.manual_seed(0)
    backbone, images = build_backbone(f"timm:{name}", NUM_CLASSES), torch.randn(2, 3, rows, cols)
    images[..., : cols // 2] += 2  # cells that are all alike have maps near 0, with large rounding errors
    with torch.no_grad():
        for key, tensor in backbone.named_parameters():
            if tensor.dim() > 1:
                tensor.normal_(0, tensor[0].numel() ** -0.5)
            elif key.endswith("bias"):
                tensor.normal_(0, 0.3)
            else:
                tensor.uniform_(0.5, 1.5)
        for module in backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1
        backbone(images)  # BatchNorm learns these images, or activations of deep networks over- or underflow
    net = timm.create_model(name, num_classes=NUM_CLASSES, **settings).eval()
    net.load_state_dict(backbone.export_weights())
    return backbone.eval(), net, images


def gradcam(net: Any, images: Tensor, grid: tuple[int, int]) -> Tensor:
    """Maps by definition, one class and one backward pass at a time, of what timm's own classifier reads.

    If that is a class token, the maps are those of the patch tokens that the last block takes.
    """
    kept: list[Tensor] = []

    def keep(_: object, __: object, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0]

    if getattr(net, "global_pool", None) == "token":
        hook = net.blocks[-2].register_forward_hook(keep)
        logits = net(images)
        hook.remove()
    else:
        logits = net.forward_head(keep(None, None, net.forward_features(images)))
    maps = []
    for c in range(logits.shape[1]):
        (gradient,) = torch.autograd.grad(logits[:, c].sum(), kept[0], retain_graph=True)
        activations, weights = (cells(net, each, grid) for each in (kept[0].detach(), gradient))
        maps.append((weights.mean((1, 2), keepdim=True) * activations).sum(-1).relu())
    return torch.stack(maps, dim=1)


def cells(net: Any, features: Tensor, grid: tuple[int, int]) -> Tensor:
    """Features as image × row × col × channel."""
    if features.dim() == 3:
        patches = features[:, getattr(net, "num_prefix_tokens", 0) :]
        return torch.stack([patches[:, row * grid[1] : (row + 1) * grid[1]] for row in range(grid[0])], dim=1)
    return features if getattr(net, "output_fmt", "") == "NHWC" else features.permute(0, 2, 3, 1)
