"""Maps for any other head (ConvNeXt's LayerNorm, custom heads), with one backward pass through it per class."""

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attn.maps.head_layers import apply, class_chunks, split_pooling


@dataclasses.dataclass(frozen=True)
class Vjp:
    """A head treated as a black box and differentiated for chunks of classes; the trunk is not differentiated.

    Leading pooling layers preserve the gradient's sum and are skipped, so ConvNeXt's gradient has 1 cell instead of 49.
    Images can be batched because they are independent in eval mode. The price is n backward passes through the head,
    run in smaller chunks with a smaller budget.

    Attributes:
        pooling: leading layers that preserve the gradient's sum.
        layers: all other layers.
        budget_bytes: memory for the gradients, without intermediate results inside composite layers.

    Source: Selvaraju et al. 2017, Eq. 1-2.
    """

    pooling: Sequence[nn.Module]
    layers: Sequence[nn.Module]
    budget_bytes: int

    @classmethod
    def of(cls, layers: Sequence[nn.Module], budget_bytes: int) -> "Vjp":
        """Build from any head's layers."""
        return cls(*split_pooling(layers), budget_bytes)

    def __call__(
        self, activations: Float[Tensor, "batch chan row col"]
    ) -> tuple[Float[Tensor, "batch cls row col"], Float[Tensor, "batch cls"]]:
        """Compute maps (in sum form, before the ReLU) and logits."""
        # Tensors created in inference mode cannot require gradients, but copies made outside it can.
        with torch.inference_mode(False):
            pooled = apply(self.pooling, activations).clone().requires_grad_()
            with torch.enable_grad():
                logits, class_bytes = self._forward(pooled)
            maps = self._maps(activations, pooled, logits, class_bytes)
        return maps, logits.detach()

    def _forward(self, pooled: Tensor) -> tuple[Float[Tensor, "batch cls"], int]:
        """Logits, and the bytes of one class's gradient at the widest layer."""
        value = pooled.clone()  # the head may begin with an in-place layer, which is not allowed on a leaf
        widest = value.numel()
        for layer in self.layers:
            value = layer(value)
            widest = max(widest, value.numel())
        return value, 3 * widest * value.element_size()

    def _maps(self, activations: Tensor, pooled: Tensor, logits: Tensor, class_bytes: int) -> Tensor:
        batch, num_classes = logits.shape
        maps = activations.new_empty(batch, num_classes, *activations.shape[2:])
        one_hot = torch.eye(num_classes, dtype=logits.dtype, device=logits.device)
        for part in class_chunks(num_classes, class_bytes=class_bytes, budget_bytes=self.budget_bytes):
            seeds = one_hot[part, None, :].expand(-1, batch, -1)
            (gradient,) = torch.autograd.grad(logits, pooled, seeds, retain_graph=True, is_grads_batched=True)
            weights = gradient.sum(dim=(-2, -1)).transpose(0, 1)
            maps[:, part] = torch.bmm(weights, activations.flatten(2)).unflatten(2, activations.shape[2:])
        return maps
