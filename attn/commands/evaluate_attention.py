"""Attention weights of an evaluation's models, written while the videos are scored."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from attn.commands.evaluate_boxes import BoxShares
from attn.commands.evaluate_options import EvaluateOptions
from attn.errors import UsageError
from attn.schema import GRID
from attn.stages.scoring import Named, Scorer
from attn.stages.soft_attention_scoring import SoftAttentionScore, attending
from attn.storage.attention_file import NAME, AttentionFile, attention_file
from attn.storage.location import Location
from attn.storage.store import AttentionStore, VideoRows


@dataclasses.dataclass(frozen=True)
class WithAttention(Named):
    """Scores of a soft-attention LSTM, whose attention is written to a file.

    Args:
        attends: the model.
        file: file of the attention.
        boxes: boxes with which the attention is compared; None for none.
    """

    attends: SoftAttentionScore
    file: AttentionFile
    boxes: BoxShares | None

    def __call__(self, rows: VideoRows) -> np.ndarray:
        scored = self.attends.scored(rows)
        weights = scored.weights(rows.tensors[GRID].shape[2:])
        self.file.add(self.name, rows, weights)
        if self.boxes is not None:
            self.boxes.add(self.name, rows, weights)
        return scored.scores[0].cpu().numpy()


@contextlib.contextmanager
def written_attention(
    options: EvaluateOptions, scorers: Sequence[Scorer], store: AttentionStore, boxes: BoxShares | None = None
) -> Iterator[tuple[Scorer, ...]]:
    """Yield the scorers; with `--attention`, they also write `attention.parquet`, which appears after the block.

    Raises:
        UsageError: `--attention` is given, but no model has an attention.
    """
    if not options.attention:
        yield tuple(scorers)
        _remove_earlier(options.out)
        return
    models = {scorer.name: model for scorer in scorers if (model := attending(scorer)) is not None}
    if not models:
        raise UsageError(
            "--attention: no model has attention weights. Give --model with a soft-attention LSTM that was trained "
            "with --pooling attention."
        )
    with attention_file(options.out, store.manifest.map_shape) as file:
        yield tuple(
            WithAttention(scorer, scorer.name, models[scorer.name], file, boxes) if scorer.name in models else scorer
            for scorer in scorers
        )


def _remove_earlier(out: str) -> None:
    """Remove the file of an earlier evaluation, which would not belong to the scores beside it."""
    file = Location.at(out) / NAME
    with file.errors():
        if file.exists():
            file.remove()
