"""BatchNorm with the statistics of the whole batch, although each worker has only a share of it.

PyTorch's SyncBatchNorm needs GPUs; this one sums through the worker group on any device.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from attn.training.peers import Peers


class _Sum(torch.autograd.Function):
    """Sum over the workers, in both directions: every worker's loss depends on every worker's values."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, peers: Peers) -> Tensor:
        ctx.peers = peers
        return peers.sum(values.clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.peers.sum(gradients[0].clone()), None


class JointBatchNorm(nn.BatchNorm3d):
    """BatchNorm of a worker group.

        m = Σ x / n,   s² = Σ (x - m)² / n     over the clips, times and cells of all workers

    Variances are computed around the mean of all workers, as in a single process. All workers must run the layer
    equally often. In evaluation the stored statistics are used.

    Args:
        layer: ordinary layer, whose tensors are used and updated.
        peers: worker group.
    """

    def __init__(self, layer: nn.BatchNorm3d, peers: Peers) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum)
        self.weight, self.bias, self._peers = layer.weight, layer.bias, peers
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name in PyTorch)
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        count = input.new_tensor([input.numel() / input.shape[1]])
        total = _summed(torch.cat([input.sum(axes), count]), self._peers)
        size, mean = total[-1].detach(), total[:-1] / total[-1].detach()
        centred = input - _per_channel(mean, input)
        variance = _summed(centred.square().sum(axes), self._peers) / size
        self._update(mean.detach(), variance.detach() * size / (size - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centred * _per_channel(scale, input) + _per_channel(self.bias, input)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor) -> None:
        """Move the stored statistics towards those of a batch."""
        for stored, new in ((self.running_mean, mean), (self.running_var, variance)):
            if stored is not None:
                stored.lerp_(new, self.momentum or 0.0)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1


def join_batchnorm(net: nn.Module, peers: Peers) -> None:
    """Let all BatchNorm layers of a network use the statistics of all workers; names of tensors do not change.

    Args:
        net: network; changed in place, unless the group has one worker.
        peers: worker group.
    """
    if peers.size == 1:
        return
    for name, layer in list(net.named_modules()):
        if isinstance(layer, nn.BatchNorm3d):
            net.set_submodule(name, JointBatchNorm(layer, peers))


def _summed(values: Tensor, peers: Peers) -> Tensor:
    return cast("Tensor", _Sum.apply(values, peers))


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (like.ndim - 2))
