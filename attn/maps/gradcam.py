"""Grad-CAM maps of all classes at once, without scaling, resizing or normalisation of single maps.

The energies of section 3.3 compare classes by the magnitude of their maps, so scaling single maps would destroy the
ranking. Computed class by class, Grad-CAM costs one backward pass per class. Here a frame costs its forward pass and
one or two matrix products for all classes, because only the head is differentiated, in closed form if its layers allow
it.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attn.maps.conv_pool import ConvPool
from attn.maps.head_layers import head_layers
from attn.maps.mlp import Mlp
from attn.maps.pool_linear import PoolLinear
from attn.maps.vjp import Vjp

AlphaReduce = Literal["mean", "sum"]
Route = PoolLinear | ConvPool | Mlp | Vjp

ROUTES: dict[str, Callable[[list[nn.Module], int], Route | None]] = {
    "pool_linear": PoolLinear.of,
    "conv_pool": ConvPool.of,
    "mlp": Mlp.of,
    "vjp": Vjp.of,
}
"""Ways to compute the maps, cheapest first. Each is exact for the heads that it supports; the last supports all."""


@dataclasses.dataclass(frozen=True)
class GradCam:
    """Grad-CAM for one head, prepared once and called for each batch.

        α_k^c = (1/HW) Σ_ij ∂y_c/∂A^k_ij
        L(F, c) = max(0, Σ_k α_k^c A^k)

    It contains sums of the head's weights: build a new one after training the head or moving it to another device.

    Attributes:
        route: pool_linear, conv_pool, mlp or vjp; their results are equal up to rounding.
        alpha_reduce: reduction over the cells; `sum` omits the factor 1/HW, as the authors' code does.

    Source: Li et al. 2017, section 3.1, Eq. 1; Selvaraju et al. 2017, Eq. 1-2.
    Differs: all classes are computed in one pass; maps are neither resized nor scaled to [0, 1].
    """

    route: str
    alpha_reduce: AlphaReduce
    _compute: Route
    _dtype: torch.dtype

    @classmethod
    def of(
        cls,
        head: nn.Module,
        *,
        alpha_reduce: AlphaReduce = "mean",
        budget_bytes: int = 2**28,
        route: str | None = None,
    ) -> "GradCam":
        """Prepare a head, on its device and in eval mode.

        Args:
            head: head (activations → logits) in fp32 or fp64.
            alpha_reduce: see `GradCam`.
            budget_bytes: memory for intermediate results of mlp and vjp, which process the classes in chunks.
            route: name of the route; default: the cheapest that supports the head.

        Raises:
            ValueError: the head is in training mode or in half precision, or the route does not support it.
        """
        if any(module.training for module in head.modules()):
            raise ValueError("the head is in training mode, where images are not independent. Call head.eval() first.")
        dtype = next((parameter.dtype for parameter in head.parameters()), torch.float32)
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"the head is in {dtype}, in which ReLU masks can flip. Keep it in float32.")
        layers = head_layers(head)
        for name in [route] if route else ROUTES:
            compute = ROUTES[name](layers, budget_bytes)
            if compute is not None:
                return cls(name, alpha_reduce, compute, dtype)
        names = [type(layer).__name__ for layer in layers]
        raise ValueError(f"the route {route} does not support a head with the layers {names}")

    @torch.no_grad()
    def __call__(
        self, activations: Float[Tensor, "batch chan row col"]
    ) -> tuple[Float[Tensor, "batch cls row col"], Float[Tensor, "batch cls"]]:
        """Compute maps and logits of a batch, on its device and in the head's precision."""
        with torch.autocast(activations.device.type, enabled=False):
            maps, logits = self._compute(activations.to(self._dtype))
        if self.alpha_reduce == "mean":
            maps /= activations.shape[2] * activations.shape[3]
        return maps.relu_(), logits


def attention_maps(
    activations: Float[Tensor, "batch chan row col"],
    head: nn.Module,
    *,
    alpha_reduce: AlphaReduce = "mean",
    budget_bytes: int = 2**28,
) -> tuple[Float[Tensor, "batch cls row col"], Float[Tensor, "batch cls"]]:
    """Compute Grad-CAM maps of all classes and the logits of one batch; for many batches, reuse one `GradCam`."""
    return GradCam.of(head, alpha_reduce=alpha_reduce, budget_bytes=budget_bytes)(activations)
