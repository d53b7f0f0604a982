"""What decides the concept vectors: every choice between the class names and the numbers beside a map.

No torch, no scikit-learn: `attn.engine.options` makes flags of it.
"""

import dataclasses
from typing import Literal

from attn.errors import UsageError
from attn.storage.reasons import shown

Aggregation = Literal["fisher", "average", "onehot"]
FISHER_ALONE = ("word_dimensions", "gaussians", "corpus")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConceptConfig:
    """Where the words' vectors come from, and how those of a name become one."""

    word_vectors: str | None = None
    """Word vectors for the class names: word2vec or GloVe, text or binary (default: one-hot vectors)."""
    aggregation: Aggregation | None = None
    """How the words of a name become one vector (default: fisher with --word-vectors, else onehot)."""
    concept_norm: Literal["l2", "none"] = "l2"
    """l2: the vector of a class has length 1. none: its length is what the aggregation makes it."""
    word_dimensions: int = 50
    """Principal dimensions of the words, for fisher; with no more words than that, half as many as words."""
    gaussians: int = 2
    """Gaussians of the words' mixture, for fisher; with no more words than --word-dimensions, one."""
    corpus: str | None = None
    """Text file of further words, one per line, to fit dimensions and mixture to, for fisher; local or s3://."""

    @property
    def kind(self) -> Aggregation:
        """The aggregation that is meant."""
        return self.aggregation or ("onehot" if self.word_vectors is None else "fisher")

    def check_concepts(self) -> None:
        """Refuses what does not go together.

        Raises:
            UsageError: the first flag that cannot be, or that the aggregation has no use for.
        """
        if self.kind == "onehot" and self.word_vectors is not None:
            raise UsageError(
                f"one-hot vectors have no use for {shown(self.word_vectors)}; leave out it or --aggregation onehot"
            )
        if self.kind == "onehot" and self.concept_norm != "l2":
            raise UsageError(f"--concept-norm {self.concept_norm}: one-hot vectors have length 1; leave it away")
        if self.kind != "onehot" and self.word_vectors is None:
            raise UsageError(f"--aggregation {self.kind} needs word vectors; give --word-vectors FILE, or take onehot")
        for field in dataclasses.fields(ConceptConfig):
            if field.name in FISHER_ALONE and self.kind != "fisher" and getattr(self, field.name) != field.default:
                raise UsageError(f"{_flag(field.name)} is about --aggregation fisher; leave it away with {self.kind}")
        for name in ("word_dimensions", "gaussians"):
            if getattr(self, name) < 1:
                raise UsageError(f"{_flag(name)} {getattr(self, name)}: give 1 or more")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
