"""Rows of metrics of a CNN's training, one per epoch: columns, best row, log lines."""

import math
from collections.abc import Sequence

from attn.durations import clock
from attn.models.finetune import Validation
from attn.training.status import Row

ACCURACY, MIXED_LOSS = "validation_accuracy", "mixed_loss"


def best_row(rows: Sequence[Row]) -> Row:
    """Return the row with the highest validation accuracy, the last of several; without validation, the last row.

    Epoch 0, the initial weights, is preferred to epochs that are only as good.
    """
    return max(rows, key=lambda row: (row[ACCURACY] or 0, row["epoch"] or math.inf))


def epoch_line(rows: Sequence[Row], epochs: int) -> str:
    """Return the log line of the last row."""
    row = rows[-1]
    if row["epoch"] == 0:
        return f"initial weights, validation {row[ACCURACY]:.1%}"
    left_s = row["seconds"] * (epochs - row["epoch"])
    best = " (best)" if best_row(rows) is row else ""
    held_out = "" if row[ACCURACY] is None else f"validation {row[ACCURACY]:.1%}{best}, "
    return (
        f"loss {row['train_loss']:.3f}, train {row['train_accuracy']:.1%}, {held_out}"
        f"{row['images_per_s']:.0f} images/s, ETA {clock(left_s)}"
    )


def signs_of_life(validated: Validation) -> dict[str, float]:
    """Return the columns that show whether the network still tells classes apart."""
    return {"dead_channels": validated.dead_channels, "largest_class_share": validated.largest_class_share}
