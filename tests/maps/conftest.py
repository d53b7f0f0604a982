"""The oracle: Grad-CAM by definition, one class and one backward pass at a time, through whatever the head is."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture(scope="session")
def one_class_at_a_time() -> Callable[[Tensor, nn.Module], tuple[Tensor, Tensor]]:
    def gradcam(activations: Tensor, head: nn.Module) -> tuple[Tensor, Tensor]:
        leaf = activations.clone().requires_grad_()
        logits = head(leaf.clone())
        maps = []
        for c in range(logits.shape[1]):
            (gradient,) = torch.autograd.grad(logits[:, c].sum(), leaf, retain_graph=True)
            channel_weights = gradient.mean(dim=(2, 3))
            maps.append(torch.einsum("bk,bkhw->bhw", channel_weights, leaf).relu())
        return torch.stack(maps, dim=1).detach(), logits.detach()

    return gradcam


@pytest.fixture
def relu_features() -> Callable[..., Tensor]:
    """Activations as a ReLU leaves them: half of them exactly zero."""

    def make(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
        return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)).relu()

    return make
