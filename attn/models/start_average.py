"""Mean of the weights that a network started from and those that it has learnt.

    kept = start + (1 − s) · (trained − start)        s: share of the start

Fine-tuning on a few videos moves a network away from what photographs have taught it, further than so few videos
justify. Half of the way keeps most of what was gained and little of what was lost. Updates are those without it: the
mean is only taken for validation and for what is kept.

Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT), section 3, α = 1 − s.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


class StartAverage:
    """The mean for one network.

    Args:
        network: with the weights that it starts from.
        share: of the start, 0 to below 1; 0 leaves the network as it is.
    """

    def __init__(self, network: nn.Module, share: float):
        self._network, self.share = network, share
        self._start = {name: tensor.detach().clone() for name, tensor in self._floating()} if share else {}

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The network has the mean weights within; afterwards its own again, to the last bit."""
        if not self.share:
            yield
            return
        own = {name: tensor.detach().clone() for name, tensor in self._floating()}
        with torch.no_grad():
            for name, tensor in self._floating():
                start = self._start[name].to(tensor)  # the network may have been moved since
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
