"""Signs that a training learns nothing, from its numbers alone: what is seen, the likely reason, the flag to try.

Each validation has its signs, a text under a short name (kind). They are told while the training goes on, and those of
the state that is kept decide at its end whether anything was learnt. No torch, no Ray.
"""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attn.stages.finetune_config import LR, FinetuneConfig
from attn.stages.recipe import PAPER

UNTRAINED = "untrained"
"""Name of the signs in a row of metrics (kind → text), and of the texts in a report."""
Signs = dict[str, str]

DEAD, ONE_CLASS, LOSS, ACCURACY = "dead_channels", "one_class", "loss_at_chance", "accuracy_at_chance"
LEARNING = frozenset({LOSS, ACCURACY})
"""Kinds that speak of an epoch's learning, not of the state after it: the first epochs of a good training may have
them."""
AT_FIRST = LEARNING | {ONE_CLASS}
"""Kinds that are told only from their second validation in a row on."""
DEAD_SHARE = 0.9
LOSS_TOLERANCE = 0.02
SLOW = 0.1
"""By which share a loss is below that of guessing when something is learnt although no answer is right yet."""
FEW = 8
"""Held-out pictures or videos that a good network may well take for one class."""


@dataclasses.dataclass(frozen=True)
class Chance:
    """Figures that guessing would reach.

    Attributes:
        loss: entropy in nats of the classes among the training pictures, ln C if all are as frequent.
        train: share of the most frequent class among them.
        train_count: independent training pictures; of videos, whose frames are near copies, the videos.
        validation: share of the most frequent class among the held-out pictures.
        validation_count: as `train_count`; 0 if none is held out.
    """

    loss: float
    train: float
    train_count: int
    validation: float
    validation_count: int

    @classmethod
    def of(cls, train: Sequence[int], held: Sequence[int], *, train_count: int, validation_count: int) -> "Chance":
        """From the pictures of each class that are drawn in an epoch, and that are held out."""
        shares = [one / sum(train) for one in train if one]
        entropy = -sum(share * math.log(share) for share in shares)
        return cls(entropy, max(shares), train_count, max(held) / sum(held) if sum(held) else 0.0, validation_count)


def epoch_signs(row: Mapping[str, Any], chance: Chance, config: FinetuneConfig, pictures: str) -> Signs:
    """Signs of an epoch of a CNN's training.

        dead:      more than 90 % of the map layer's channels are 0 on all pictures
        one class: all pictures get one class, and they are not few or the training accuracy is at chance
        loss:      loss >= 0.98 · entropy of the classes, and the training accuracy is at chance
        accuracy:  held-out and training accuracy are at chance, and loss >= 0.9 · entropy of the classes

    At chance means a <= p + sqrt(p (1 - p) / n), p the share of the most frequent class, n independent pictures. A
    training that learnt its pictures by heart has none of the last two, however bad it is on a few held-out videos.

    Args:
        row: of metrics, with `train_loss`, `train_accuracy`, `validation_accuracy`, `dead_channels` and
            `largest_class_share`.
        chance: for these pictures.
        config: rates and recipe, for the flag to try.
        pictures: on which channels and classes were seen, e.g. `validation`.
    """
    signs = Signs()
    guessing = _at_chance(row["train_accuracy"], chance.train, chance.train_count) and (
        row["train_loss"] >= (1 - SLOW) * chance.loss
    )
    if row["dead_channels"] > DEAD_SHARE:
        signs[DEAD] = (
            f"{row['dead_channels']:.0%} of the map layer's channels are zero on every {pictures} picture: the "
            f"learning rate was too high for this shift. {_smaller_steps(config)}"
        )
    several = chance.validation < 1 and (guessing or (chance.validation_count or chance.train_count) >= FEW)
    if row["largest_class_share"] == 1 and several:
        signs[ONE_CLASS] = (
            f"every {pictures} picture gets the same class: the learning rate was too high, or one class is by far the "
            f"most frequent. {_smaller_steps(config)}"
        )
    accuracy = f"{row['train_accuracy']:.1%} of the training pictures are right"
    way_out = _smaller_steps(config) if DEAD in signs else "Try another --lr, more --epochs, and look at the labels."
    if guessing and row["train_loss"] >= (1 - LOSS_TOLERANCE) * chance.loss:
        signs[LOSS] = (
            f"the training loss is {row['train_loss']:.3f} where guessing has {chance.loss:.3f}, and {accuracy} where "
            f"guessing has {chance.train:.1%}: nothing is learnt. {way_out}"
        )
    held = row["validation_accuracy"]
    if guessing and held is not None and _at_chance(held, chance.validation, chance.validation_count):
        signs[ACCURACY] = (
            f"{held:.1%} of the held-out pictures and {accuracy}, where guessing has {chance.validation:.1%} and "
            f"{chance.train:.1%}: nothing is learnt. {way_out}"
        )
    return signs


def signs_to_tell(rows: Sequence[Mapping[str, Any]], told: Collection[str]) -> Signs:
    """Signs of the last of some rows that should be told now: no kind twice, and some only when they last."""
    found: Signs = rows[-1].get(UNTRAINED) or {}
    before: Signs = rows[-2].get(UNTRAINED) or {} if len(rows) > 1 else {}
    return {kind: text for kind, text in found.items() if kind not in told and (kind not in AT_FIRST or kind in before)}


def untrained_reasons(kept: Mapping[str, Any], last: Mapping[str, Any]) -> list[str]:
    """Why a training that is over has learnt nothing; empty if it has learnt something.

    Args:
        kept: row of the state that is kept.
        last: last row; signs of learning count only if the training still had them at its end, and dead channels only
            beside another sign: few channels can be enough for few classes.
    """
    found: Signs = kept.get(UNTRAINED) or {}
    still: Signs = last.get(UNTRAINED) or {}

    def counts(kind: str) -> bool:
        return bool(still.keys() - {DEAD}) if kind == DEAD else kind not in LEARNING or kind in still

    return [text for kind, text in found.items() if counts(kind)]


def _at_chance(accuracy: float, share: float, count: int) -> bool:
    return accuracy <= share + math.sqrt(share * (1 - share) / max(count, 1))


def _smaller_steps(config: FinetuneConfig) -> str:
    if config.recipe == PAPER:
        return "Try --recipe steady."
    return f"Try --lr {(config.lr or LR) / 3:.1g}, --warmup {max(50, 4 * config.warmup)} or a smaller --head-lr."
