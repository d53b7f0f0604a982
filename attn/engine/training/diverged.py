"""A training that cannot go on because its numbers are none any more."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from attn.errors import UsageError


class DivergedError(UsageError):
    """The loss or the weights became NaN or infinite; the message says when."""

    def explained(self, *, flags: str, run_url: str, kept: str) -> "DivergedError":
        """The same with the likely cause and the way out.

        Args:
            flags: that make the steps smaller.
            run_url: folder of the training.
            kept: what it keeps, e.g. `epoch 3`; empty where it keeps nothing.
        """
        keeps = f", which keeps the state after {kept}" if kept else ""
        return DivergedError(
            f"{self}: most likely the learning rate is too high; lower {flags}, with another --out or after removing "
            f"{run_url}{keeps}"
        )


def check_weights(weights: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]], when: str) -> None:
    """Refuses a state that nothing could go on from.

    Args:
        weights: by name, buffers too.
        when: for the message, e.g. `after update 500`.

    Raises:
        DivergedError: one of them is NaN or infinite.
    """
    for name, tensor in dict(weights).items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DivergedError(f"the weights are not finite {when} ({name})")


def check_losses(losses: torch.Tensor, epoch: int, first_update: int) -> None:
    """Refuses losses that are not finite.

    Args:
        losses: of consecutive updates, the same on all workers.
        epoch: counted from 0.
        first_update: number of the first of them.

    Raises:
        DivergedError: names the first update whose loss is not finite.
    """
    finite = torch.isfinite(losses)
    if not finite.all():
        update = first_update + int(torch.argmin(finite.int()))
        raise DivergedError(f"the loss is not finite at epoch {epoch + 1}, update {update}")
