"""Grad-CAM maps of all classes at once, raw: rectified, never scaled, never resized, never normalised one by one.

The energies of section 3.3 compare classes by the magnitude of their maps, so whatever scales a map on its own destroys
what they rank. A class at a time would cost one backward pass each; here a frame costs its forward pass and one to two
matrix products for all classes together, because only the head is differentiated, and that in closed form where its
layers allow it.
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
"""Cheapest first; each is exact for the heads it takes, and the last takes all."""


@dataclasses.dataclass(frozen=True)
class GradCam:
    """Grad-CAM behind one head, prepared once and called on batch after batch.

        α_k^c = (1/HW) Σ_ij ∂y_c/∂A^k_ij
        L(F, c) = max(0, Σ_k α_k^c A^k)

    It holds sums of the head's weights: make a new one after moving the head to a device or training it.

    Attributes:
        route: pool_linear, conv_pool, mlp or vjp; all agree to rounding.
        alpha_reduce: `sum` leaves out 1/HW, as the authors' own code does.

    Source: Li et al. 2017, section 3.1, Eq. 1; Selvaraju et al. 2017, Eq. 1-2.
    Differs: all classes in one pass; neither resized nor scaled to [0, 1].
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
        """Prepares a head, on its device and in eval mode.

        Args:
            head: activations → logits, fp32 or fp64.
            budget_bytes: memory for intermediate results of mlp and vjp, which take the classes in chunks.
            route: take this one rather than the cheapest that fits.

        Raises:
            ValueError: a head in training mode or in half precision, or one that the route does not fit.
        """
        if any(module.training for module in head.modules()):
            raise ValueError("the head is in training mode, where images are not independent; call head.eval() first")
        dtype = next((parameter.dtype for parameter in head.parameters()), torch.float32)
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"the head is {dtype}; keep it in float32, where its ReLU masks do not flip")
        layers = head_layers(head)
        for name in [route] if route else ROUTES:
            compute = ROUTES[name](layers, budget_bytes)
            if compute is not None:
                return cls(name, alpha_reduce, compute, dtype)
        raise ValueError(f"the route {route} does not fit this head: {[type(layer).__name__ for layer in layers]}")

    @torch.no_grad()
    def __call__(
        self, activations: Float[Tensor, "batch chan row col"]
    ) -> tuple[Float[Tensor, "batch cls row col"], Float[Tensor, "batch cls"]]:
        """Maps and logits of a batch, on its device and in the head's precision whatever the trunk's."""
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
    """Grad-CAM maps of all classes and the logits of one batch; for many batches keep a `GradCam`."""
    return GradCam.of(head, alpha_reduce=alpha_reduce, budget_bytes=budget_bytes)(activations)
