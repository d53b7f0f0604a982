"""Maps behind any other head (ConvNeXt's LayerNorm, a head of your own): one backward pass through it per class."""

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attn.maps.head_layers import apply, class_chunks, split_pooling


@dataclasses.dataclass(frozen=True)
class Vjp:
    """A head taken as a black box, differentiated for many classes at a time, the trunk never.

    Pooling in front conserves the sum of the gradient and is left out, so for ConvNeXt the gradient is that of 1 cell
    instead of 49. Legal to batch because images are independent in eval mode. The price is n backward passes
    through the head, fewer at a time the smaller the budget.

    Attributes:
        pooling: the layers in front that conserve the gradient's sum.
        layers: all others.
        budget_bytes: room for the gradients; what composite layers keep inside themselves is not counted.

    Source: Selvaraju et al. 2017, Eq. 1-2.
    """

    pooling: Sequence[nn.Module]
    layers: Sequence[nn.Module]
    budget_bytes: int

    @classmethod
    def of(cls, layers: Sequence[nn.Module], budget_bytes: int) -> "Vjp":
        """Of any head."""
        return cls(*split_pooling(layers), budget_bytes)

    def __call__(
        self, activations: Float[Tensor, "batch chan row col"]
    ) -> tuple[Float[Tensor, "batch cls row col"], Float[Tensor, "batch cls"]]:
        """Maps in sum form before the ReLU, and logits."""
        # What inference mode made can take part in no gradient; copies made outside it can.
        with torch.inference_mode(False):
            pooled = apply(self.pooling, activations).clone().requires_grad_()
            with torch.enable_grad():
                logits, class_bytes = self._forward(pooled)
            maps = self._maps(activations, pooled, logits, class_bytes)
        return maps, logits.detach()

    def _forward(self, pooled: Tensor) -> tuple[Float[Tensor, "batch cls"], int]:
        """Logits, and the bytes that the gradient of one class needs at the widest point."""
        value = pooled.clone()  # the head may begin with an in-place layer, which a leaf does not allow
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
