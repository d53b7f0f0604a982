"""Diagnosis of CNN training runs without progress, from their metrics: symptom, likely cause and flag to try.

Each validation has signs: texts by kind. They are logged during training. At the end, the signs of the checkpoint that
is kept decide whether the run counts as untrained. This module imports neither torch nor Ray.
"""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attn.training.finetune_config import LR, FinetuneConfig
from attn.training.recipe import PAPER

UNTRAINED = "untrained"
"""Key of the signs in a row of metrics (kind → text), and of the texts in a report."""
Signs = dict[str, str]

DEAD, ONE_CLASS, LOSS, ACCURACY = "dead_channels", "one_class", "loss_at_chance", "accuracy_at_chance"
LEARNING = frozenset({LOSS, ACCURACY})
"""Kinds that concern the progress during an epoch; they can also occur in the first epochs of a good run."""
AT_FIRST = LEARNING | {ONE_CLASS}
"""Kinds that are logged only when they occur in two consecutive validations."""
DEAD_SHARE = 0.9
LOSS_TOLERANCE = 0.02
SLOW = 0.1
"""Relative decrease of the loss, compared with guessing, that counts as progress although accuracy is at chance."""
FEW = 8
"""Number of held-out images or videos below which even a good network may predict only one class."""


@dataclasses.dataclass(frozen=True)
class Chance:
    """Loss and accuracy at chance level.

    Attributes:
        loss: entropy of the classes of the training images, in nats; ln C if all are equally frequent.
        train: share of the most frequent class among the training images.
        train_count: number of independent training images; for frames, which are near-duplicates, the number of videos.
        validation: share of the most frequent class among the held-out images.
        validation_count: number of independent held-out images, counted like `train_count`; 0 without validation.
    """

    loss: float
    train: float
    train_count: int
    validation: float
    validation_count: int

    @classmethod
    def of(cls, train: Sequence[int], held: Sequence[int], *, train_count: int, validation_count: int) -> "Chance":
        """Compute chance level from the numbers of images per class in an epoch and among the held-out images."""
        shares = [one / sum(train) for one in train if one]
        entropy = -sum(share * math.log(share) for share in shares)
        return cls(entropy, max(shares), train_count, max(held) / sum(held) if sum(held) else 0.0, validation_count)


def epoch_signs(row: Mapping[str, Any], chance: Chance, config: FinetuneConfig, pictures: str) -> Signs:
    """Signs after an epoch of a CNN's training.

        dead:      more than 90 % of the map layer's channels are 0 on all images
        one class: all images are predicted as one class, and they are not few or the training accuracy is at chance
        loss:      loss >= 0.98 · entropy of the classes, and the training accuracy is at chance
        accuracy:  held-out and training accuracy are at chance, and loss >= 0.9 · entropy of the classes

    At chance means a <= p + sqrt(p (1 - p) / n), with p the share of the most frequent class and n the number of
    independent images. The last two signs do not occur in a run that overfits, even if its accuracy on a few held-out
    videos is low.

    Args:
        row: row of metrics with `train_loss`, `train_accuracy`, `validation_accuracy`, `dead_channels` and
            `largest_class_share`.
        chance: chance level for these images.
        config: settings of the run, for the suggested flag.
        pictures: name of the images on which channels and classes were measured, e.g. `validation`.
    """
    signs = Signs()
    guessing = _at_chance(row["train_accuracy"], chance.train, chance.train_count) and (
        row["train_loss"] >= (1 - SLOW) * chance.loss
    )
    if row["dead_channels"] > DEAD_SHARE:
        signs[DEAD] = (
            f"{row['dead_channels']:.0%} of the map layer's channels are zero on all {pictures} images: the learning "
            f"rate was too high for images that differ so much from those of pretraining. {_smaller_steps(config)}"
        )
    several = chance.validation < 1 and (guessing or (chance.validation_count or chance.train_count) >= FEW)
    if row["largest_class_share"] == 1 and several:
        signs[ONE_CLASS] = (
            f"all {pictures} images are predicted as one class: the learning rate was too high, or one class is by far "
            f"the most frequent. {_smaller_steps(config)}"
        )
    accuracy = f"the training accuracy is {row['train_accuracy']:.1%} (chance: {chance.train:.1%})"
    way_out = _smaller_steps(config) if DEAD in signs else "Try another --lr or more --epochs, and check the labels."
    if guessing and row["train_loss"] >= (1 - LOSS_TOLERANCE) * chance.loss:
        signs[LOSS] = (
            f"the training loss is {row['train_loss']:.3f} (chance: {chance.loss:.3f}) and {accuracy}: no progress. "
            f"{way_out}"
        )
    held = row["validation_accuracy"]
    if guessing and held is not None and _at_chance(held, chance.validation, chance.validation_count):
        signs[ACCURACY] = (
            f"the validation accuracy is {held:.1%} (chance: {chance.validation:.1%}) and {accuracy}: no progress. "
            f"{way_out}"
        )
    return signs


def signs_to_tell(rows: Sequence[Mapping[str, Any]], told: Collection[str]) -> Signs:
    """Signs of the last row that should be logged now: each kind once, those in `AT_FIRST` when they persist.

    Args:
        rows: rows of metrics so far.
        told: kinds that have been logged.
    """
    found: Signs = rows[-1].get(UNTRAINED) or {}
    before: Signs = rows[-2].get(UNTRAINED) or {} if len(rows) > 1 else {}
    return {kind: text for kind, text in found.items() if kind not in told and (kind not in AT_FIRST or kind in before)}


def untrained_reasons(kept: Mapping[str, Any], last: Mapping[str, Any]) -> list[str]:
    """Reasons why a finished training run counts as untrained; empty if it does not.

    Args:
        kept: row of the checkpoint that is kept.
        last: last row. Signs in `LEARNING` count only if they are also in the last row. Dead channels count only
            together with another sign, because few channels can be sufficient for few classes.
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
