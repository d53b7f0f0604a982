"""Error of a training whose loss or weights are not finite, and the checks that raise it."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from attn.errors import UsageError


class DivergedError(UsageError):
    """The loss or the weights became NaN or infinite; the message names the step."""

    def explained(self, *, flags: str, run_url: str, kept: str) -> "DivergedError":
        """Return the error with the probable cause and the remedy.

        Args:
            flags: flags that make the steps smaller.
            run_url: URL of the run folder.
            kept: step of the last checkpoint, e.g. `epoch 3`; empty without a checkpoint.
        """
        checkpoint = f", which holds the checkpoint of {kept}" if kept else ""
        return DivergedError(
            f"{self}: the learning rate is probably too high. Lower {flags}, and choose another --out or remove "
            f"{run_url}{checkpoint}."
        )


def check_weights(weights: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]], when: str) -> None:
    """Check that all weights are finite.

    Args:
        weights: name → tensor, including buffers.
        when: step for the message, e.g. `after update 500`.

    Raises:
        DivergedError: a weight is NaN or infinite.
    """
    for name, tensor in dict(weights).items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DivergedError(f"the weights are not finite {when} ({name})")


def check_losses(losses: torch.Tensor, epoch: int, first_update: int) -> None:
    """Check that all losses are finite.

    Args:
        losses: losses of consecutive updates, the same on all workers.
        epoch: number of the epoch, counted from 0.
        first_update: number of the first update.

    Raises:
        DivergedError: a loss is not finite; the message names the first such update.
    """
    finite = torch.isfinite(losses)
    if not finite.all():
        update = first_update + int(torch.argmin(finite.int()))
        raise DivergedError(f"the loss is not finite at epoch {epoch + 1}, update {update}")
