"""Rows of metrics of a CNN's training, one per epoch: columns, best row, log lines."""

import math
from collections.abc import Sequence

from attn.durations import clock
from attn.models.finetune import Validation
from attn.training.status import Row

ACCURACY, VALIDATION_LOSS, MIXED_LOSS = "validation_accuracy", "validation_loss", "mixed_loss"


def best_row(rows: Sequence[Row], keep_by: str | None) -> Row:
    """Return the row of the best validation, the last of several; without validation, the last row.

    Epoch 0, the initial weights, is preferred to epochs that are only as good.

    Measured: top-1 in % of fine-tuned CNNs on the training videos without labels; rendered videos, two splits.

        labels       10 %              20 %
        keep_by      CNN    UnAtt      CNN    UnAtt
        accuracy     55.5   50.6       53.0   49.4
        loss         59.5   53.0       63.4   55.5

    Args:
        rows: rows of all epochs.
        keep_by: `loss` for the smallest validation loss, `accuracy` for the largest validation accuracy.
    """
    return max(rows, key=lambda row: (_merit(row, keep_by), row["epoch"] or math.inf))


def _merit(row: Row, keep_by: str | None) -> float:
    if keep_by == "loss":
        return 0 if row[VALIDATION_LOSS] is None else -row[VALIDATION_LOSS]
    return row[ACCURACY] or 0


def epoch_line(rows: Sequence[Row], epochs: int, keep_by: str | None) -> str:
    """Return the log line of the last row."""
    row = rows[-1]
    if row["epoch"] == 0:
        return f"initial weights, validation {_validation(row, keep_by)}"
    left_s = row["seconds"] * (epochs - row["epoch"])
    best = " (best)" if best_row(rows, keep_by) is row else ""
    held_out = "" if row[ACCURACY] is None else f"validation {_validation(row, keep_by)}{best}, "
    return (
        f"loss {row['train_loss']:.3f}, train {row['train_accuracy']:.1%}, {held_out}"
        f"{row['images_per_s']:.0f} images/s, ETA {clock(left_s)}"
    )


def _validation(row: Row, keep_by: str | None) -> str:
    return f"{row[ACCURACY]:.1%}" + (f", loss {row[VALIDATION_LOSS]:.3f}" if keep_by == "loss" else "")


def signs_of_life(validated: Validation) -> dict[str, float]:
    """Return the columns that show whether the network still tells classes apart."""
    return {"dead_channels": validated.dead_channels, "largest_class_share": validated.largest_class_share}
