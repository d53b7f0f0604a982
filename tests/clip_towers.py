"""Small networks of open_clip, one of each kind of image encoder."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer


@register_model
def tiny_siglip(
    *, num_classes: int = 0, global_pool: str = "map", pretrained: bool = False, **_: Any
) -> VisionTransformer:
    """Transformer of SigLIP: no class token, attention pooling."""
    shape = {"img_size": 64, "patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2}
    net = VisionTransformer(**shape, class_token=False, num_classes=num_classes, global_pool=global_pool)
    net.default_cfg = net.pretrained_cfg = {"input_size": (3, 64, 64)}
    return net


_TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}


def _clip(vision: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"embed_dim": 24, "vision_cfg": vision, "text_cfg": dict(_TEXT), **others}


def _transformer(**others: Any) -> dict[str, Any]:
    return {"image_size": 64, "layers": 3, "width": 32, "head_width": 16, "patch_size": 16, **others}


def _timm(name: str, **others: Any) -> dict[str, Any]:
    return {"timm_model_name": name, "timm_pool": "", "timm_proj": "linear", "image_size": 64, **others}


TOWERS: dict[str, dict[str, Any]] = {
    "tiny-ViT": _clip(_transformer()),
    "tiny-ViT-quickgelu": _clip(_transformer(), quick_gelu=True),
    "tiny-ViT-wide": _clip(_transformer(image_size=[64, 96])),
    "tiny-ViT-avg": _clip(_transformer(pool_type="avg", final_ln_after_pool=True, no_ln_pre=True)),
    "tiny-CoCa": _clip(
        _transformer(attentional_pool=True, attn_pooler_heads=2, attn_pooler_queries=4, output_tokens=True),
        text_cfg={**_TEXT, "embed_cls": True, "output_tokens": True},
        multimodal_cfg={**_TEXT, "attn_pooler_heads": 2},
        custom_text=True,
    ),
    "tiny-RN": _clip({"image_size": 96, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None, "head_width": 64}),
    "tiny-ConvNeXt": _clip(_timm("test_convnext", timm_drop_path=0.1)),
    "tiny-Sigmoid": _clip(
        _timm("tiny_siglip", timm_pool="map", timm_proj="none"), init_logit_bias=-10, custom_text=True
    ),
    "tiny-timm-ViT": _clip(_timm("test_vit", timm_pool="token", timm_proj=None, image_size=160)),
}


def register(folder: Path) -> None:
    """Make the networks known to open_clip by their names."""
    for name, config in TOWERS.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)


def whole_clip(name: str) -> Any:
    """Whole network with random weights, none of them without effect, in eval mode."""
    torch.manual_seed(0)
    model = open_clip.create_model(name)
    size = model.visual.image_size
    rows, cols = (size, size) if isinstance(size, int) else size
    with torch.no_grad():
        for key, tensor in model.named_parameters():
            if tensor.dim() > 1:
                tensor.normal_(0, tensor[0].numel() ** -0.5)
            elif key.endswith("bias") and key != "logit_bias":
                tensor.normal_(0, 0.3)
            elif key not in ("logit_scale", "logit_bias"):
                tensor.uniform_(0.5, 1.5)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1
            if isinstance(module, open_clip.modified_resnet.AttentionPool2d):
                module.q_proj.weight.mul_(0.1)  # attention to more than one cell
        images = torch.randn(8, 3, rows, cols)
        images[..., : cols // 2] += 2
        model.train().encode_image(images)  # BatchNorm gets statistics
    return model.eval()
