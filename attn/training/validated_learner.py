"""Part of a learner that all trainings with one figure of held-out videos share."""

import math
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from attn.training.diverged import DivergedError
from attn.training.state import State, plain
from attn.training.status import Row
from attn.training.validated_rows import kept_number


class Trainer(Protocol):
    """Updates of a network.

    Attributes:
        net: network in training.
        optimizer: its optimizer.
    """

    @property
    def net(self) -> nn.Module: ...
    @property
    def optimizer(self) -> Optimizer: ...


AnyTrainer = TypeVar("AnyTrainer", bound=Trainer)


class ValidatedLearner(Generic[AnyTrainer]):
    """Learner that keeps the weights of the best validation, see `attn.training.loop.Learner`.

    Attributes:
        trainer: trainer of the network.
        kept: weights of the best validation; empty before the first one.
    """

    trainer: AnyTrainer
    kept: dict[str, Tensor]

    def prepare(self) -> None:
        """Do nothing; the initial weights depend only on the options."""

    def start_row(self) -> None:
        """Return None; the initial weights are not a candidate, because their classifier is random."""

    def judge(self, rows: Sequence[Row]) -> None:
        """Keep the current weights if the last row is the best one."""
        if kept_number(rows) == len(rows):
            self.kept = plain(self.trainer.net.state_dict())

    def state(self, rows: Sequence[Row]) -> State:
        kept = {} if kept_number(rows) == len(rows) else self.kept
        net, optimizer = self.trainer.net, self.trainer.optimizer
        return State(net.state_dict(), kept, optimizer.state_dict(), {"rows": list(rows)})

    def restore(self, state: State) -> None:
        self.trainer.net.load_state_dict(state.weights)
        self.trainer.optimizer.load_state_dict(state.optimizer)
        self.kept = state.best


def check_loss(loss: float, number: int) -> None:
    """Check the loss of an update.

    Args:
        loss: loss of the update.
        number: index of the update, from 0.

    Raises:
        DivergedError: it is not finite.
    """
    if not math.isfinite(loss):
        raise DivergedError(f"the loss is not finite at update {number + 1}")
