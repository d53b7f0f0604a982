"""Cut of a zero-shot classifier at the last spatial tokens of its CLIP image encoder.

    logits = W · z / |z| + b,   z = image embedding

The trunk ends with the last spatial tokens that the image embedding has a gradient by. An encoder that pools into its
class token has none behind the last block, so it is cut before it. The head is everything behind: the last block,
pooling, projection, normalisation and the linear layer of the classes. Trunk and head are views of the encoder, so no
code of open_clip is repeated and nothing is hooked.
"""

from typing import Any, Protocol, runtime_checkable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attn.errors import UsageError
from attn.models.timm_split import cut_timm, view_of
from attn.models.token_grid import Grid, differentiable_attention, join_tokens, part_tokens
from attn.models.trunk_head import Split


class ClipNet(nn.Module):
    """Image encoder of CLIP with a linear classifier on its embedding of length 1.

    Args:
        visual: image encoder of open_clip.
        dim: length of its embeddings.
        num_classes: number of outputs.
    """

    def __init__(self, visual: nn.Module, dim: int, num_classes: int) -> None:
        super().__init__()
        self.visual, self.classifier = visual, nn.Linear(dim, num_classes)


class UnitLength(nn.Module):
    """Normalisation of embeddings to length 1."""

    def forward(self, embeddings: Float[Tensor, "row dim"]) -> Float[Tensor, "row dim"]:
        return F.normalize(embeddings, dim=1)


def split_clip(name: str, net: ClipNet) -> Split:
    """Cut a zero-shot classifier.

    Args:
        name: name of the backbone, for messages.
        net: network with an image encoder of open_clip, in any mode; it is in training mode afterwards.

    Raises:
        UsageError: the head does not read a grid of features.
    """
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import VisionTransformer

    visual: Any = net.visual
    if isinstance(visual, TimmModel):
        inner = cut_timm(name, visual.trunk)
        split = Split(inner.trunk, (*inner.head, *visual.head), f"trunk.{inner.map_layer}")
    elif isinstance(visual, VisionTransformer):
        split = _split_transformer(visual)
    else:
        split = _split_resnet(visual)
    return Split(split.trunk, (*split.head, UnitLength(), net.classifier), f"visual.{split.map_layer}")


def cell_embeddings(head: nn.Sequential, grid: Grid) -> Float[Tensor, "batch dim row col"]:
    """Embeddings of all cells of a grid, as if each were the whole image.

    A patch token takes the place of the class token behind the last block. Attention pooling returns its value for the
    token. Any other pooling sees one cell.

    Args:
        head: head of a zero-shot classifier.
        grid: activations of its trunk.

    Raises:
        UsageError: the head is not one of a zero-shot classifier, or pools in another way.

    Source: Zhou, Loy, Dai 2022, Extract Free Dense Labels from CLIP, section 3.2, for attention pooling.
    Differs: its positional embedding is added, as in pooling; queries and keys of vision transformers are kept.
    """
    *layers, unit, _ = head
    if not isinstance(unit, UnitLength):
        raise UsageError(
            "--map-kind similarity: needs a network with text embeddings. Give --weights a checkpoint of zero_shot."
        )
    if isinstance(layers[0], _HasCells):
        found, layers = layers[0].cells(grid), layers[1:]
    else:
        found = grid.permute(0, 2, 3, 1).flatten(0, 2)[..., None, None]
    for layer in layers:
        found = layer(found)
    return found.unflatten(0, (len(grid), *grid.shape[2:])).permute(0, 3, 1, 2)


class EncoderTrunk(nn.Module):
    """Trunk of an encoder of open_clip's own: its last activations before pooling, or before its last block.

    Behind the channels of the patch tokens follow those of the class token, if there is one.

    Args:
        net: view without the layers behind the grid.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net: Any = net

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Grid:
        """Compute the grid."""
        found = self.net.forward_intermediates(images, indices=1, intermediates_only=True, output_extra_tokens=True)
        (grid,) = found["image_intermediates"]
        (prefix,) = found.get("image_intermediates_prefix", (None,))
        return grid if prefix is None else join_tokens(grid, prefix)


class TransformerHead(nn.Module):
    """Head of a vision transformer: its last block if it pools into its class token, pooling and projection.

    Args:
        net: view with these layers; its transformer has the remaining block or none.
        last: view of that block for the class token only, see `_for_class_token`; None if it has no such form.
    """

    def __init__(self, net: nn.Module, last: nn.Module | None) -> None:
        super().__init__()
        self.net: Any = net
        self.last: Any = last

    def forward(self, grid: Grid) -> Float[Tensor, "batch dim"]:
        """Compute the image embeddings."""
        with differentiable_attention():
            pooled, _ = self.net._pool(self._last_tokens(grid) if self.last is None else self._class_token(grid))
        return pooled @ self.net.proj

    def _class_token(self, grid: Grid) -> Float[Tensor, "batch 1 dim"]:
        tokens = part_tokens(grid, 1, detach=not self.training)
        return self.last(tokens[:, :1], tokens, tokens)

    def cells(self, grid: Grid) -> Float[Tensor, "cell dim"]:
        """Compute the embeddings of all patch tokens, of all images in order.

        Raises:
            UsageError: pooling is by attention of several queries, which has no embedding of a token.
        """
        if self.net.attn_pool is not None:
            raise UsageError("--map-kind similarity: CoCa's pooling has no embedding of a cell. Use gradcam.")
        return self.net.ln_post(self._last_tokens(grid)[:, 1:].flatten(0, 1)) @ self.net.proj

    def _last_tokens(self, grid: Grid) -> Float[Tensor, "batch token dim"]:
        return self.net.transformer(part_tokens(grid, 1, detach=not self.training))


class AttentionPoolHead(nn.Module):
    """Head of a ResNet of CLIP: attention pooling, whose query is the average of all cells.

    Args:
        pool: open_clip's layer.
    """

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool: Any = pool

    def forward(self, grid: Grid) -> Float[Tensor, "batch dim"]:
        """Compute the image embeddings."""
        with differentiable_attention():
            return self.pool(grid)

    def cells(self, grid: Grid) -> Float[Tensor, "cell dim"]:
        """Compute the values of all cells, of all images in order; pooling is a weighted mean of these."""
        tokens = grid.flatten(2).transpose(1, 2) + self.pool.positional_embedding[1:]
        return self.pool.c_proj(self.pool.v_proj(tokens.flatten(0, 1)))


@runtime_checkable
class _HasCells(Protocol):
    """Head with embeddings of single cells."""

    def cells(self, grid: Tensor) -> Tensor: ...


def _split_transformer(visual: Any) -> Split:
    blocks = visual.transformer.resblocks
    kept = len(blocks) - (visual.attn_pool is None and visual.pool_type == "tok")
    behind = {"ln_post", "proj", "attn_pool", "attn_pool_contrastive"}
    trunk = view_of(visual, lambda child: child not in behind)
    head = view_of(visual, lambda child: child in {*behind, "transformer"})
    for part, held in ((trunk, blocks[:kept]), (head, blocks[kept:])):
        part.transformer = view_of(visual.transformer, lambda _: True)
        part.transformer.resblocks = held
    last = _for_class_token(blocks[-1]) if kept < len(blocks) else None
    return Split((EncoderTrunk(trunk),), (TransformerHead(head, last),), f"transformer.resblocks.{kept - 1}")


def _for_class_token(block: Any) -> nn.Module | None:
    """View of a block for cross-attention, whose query is the class token and whose keys and values are all tokens.

    Its output is that of the class token, for a fraction of the cost of all tokens, above all backwards.
    """
    from open_clip.transformer import ResidualAttentionBlock

    if type(block) is not ResidualAttentionBlock:
        return None
    crossed = view_of(block, lambda _: True)
    crossed.ln_1_kv = block.ln_1
    return crossed


def _split_resnet(visual: Any) -> Split:
    trunk = view_of(visual, lambda child: child != "attnpool")
    return Split((EncoderTrunk(trunk),), (AttentionPoolHead(visual.attnpool),), "layer4")
