"""Weighted average of a network's initial weights and its trained weights.

    average = start + (1 − s) · (trained − start)        s: share of the initial weights

Fine-tuning on a few videos moves a network further from its pretrained weights than so few videos justify. Halfway,
the network has most of the gain and little of the loss. Training itself is not affected: the average is used only for
validation and for saved weights.

Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT), section 3, α = 1 − s.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


class StartAverage:
    """Average of the initial and the current weights of one network.

    Args:
        network: network with its initial weights.
        share: share of the initial weights, from 0 to below 1; 0 disables averaging.
    """

    def __init__(self, network: nn.Module, share: float):
        self._network, self.share = network, share
        self._start = {name: tensor.detach().clone() for name, tensor in self._floating()} if share else {}

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Context in which the network has the averaged weights; its own are restored exactly on exit."""
        if not self.share:
            yield
            return
        own = {name: tensor.detach().clone() for name, tensor in self._floating()}
        with torch.no_grad():
            for name, tensor in self._floating():
                start = self._start[name].to(tensor)  # the network may be on another device now
                tensor.copy_(torch.lerp(start, own[name], 1 - self.share))
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in self._floating():
                    tensor.copy_(own[name])

    def _floating(self) -> Iterator[tuple[str, torch.Tensor]]:
        state = self._network.state_dict(keep_vars=True)
        return ((name, tensor) for name, tensor in state.items() if tensor.is_floating_point())
