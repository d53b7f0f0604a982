"""Settings that decide the concept vectors, from the class names to the vectors.

The module imports neither torch nor scikit-learn, so that `--help` is fast: its fields are flags.
"""

import dataclasses
from typing import Literal

from attn.errors import UsageError
from attn.storage.error_messages import shown

Aggregation = Literal["fisher", "average", "name", "onehot"]
FISHER_ALONE = ("word_dimensions", "gaussians", "corpus")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConceptConfig:
    """Source of the word vectors, and the way in which the words of a name become one vector."""

    word_vectors: str | None = None
    """Word vectors for the class names: word2vec or GloVe, text or binary (default: one-hot vectors)."""
    aggregation: Aggregation | None = None
    """How the words of a name become one vector (default: fisher with --word-vectors, else onehot). With
    name, the whole name is one word of the file, as zero_shot --word-vectors writes it."""
    concept_norm: Literal["l2", "none"] = "l2"
    """l2: class vectors are normalised to length 1. none: they keep the length that the aggregation gives them."""
    word_dimensions: int = 50
    """Number of principal dimensions of the words, for fisher; at most that many words get half as many dimensions."""
    gaussians: int = 2
    """Number of Gaussians in the mixture, for fisher; one if at most --word-dimensions words are known."""
    corpus: str | None = None
    """Text file of additional words for fitting, one per line, for fisher; local or s3://."""

    @property
    def kind(self) -> Aggregation:
        """Aggregation in use, after applying the default."""
        return self.aggregation or ("onehot" if self.word_vectors is None else "fisher")

    def check_concepts(self) -> None:
        """Refuse settings that do not go together.

        Raises:
            UsageError: the first flag that is invalid, or that the aggregation does not use.
        """
        if self.kind == "onehot" and self.word_vectors is not None:
            raise UsageError(
                f"--word-vectors {shown(self.word_vectors)}: --aggregation onehot does not use them. Leave out one of "
                "the two."
            )
        if self.kind == "onehot" and self.concept_norm != "l2":
            raise UsageError(f"--concept-norm {self.concept_norm}: one-hot vectors have length 1. Leave it out.")
        if self.kind != "onehot" and self.word_vectors is None:
            raise UsageError(f"--aggregation {self.kind}: needs word vectors. Give --word-vectors FILE, or use onehot.")
        for field in dataclasses.fields(ConceptConfig):
            if field.name in FISHER_ALONE and self.kind != "fisher" and getattr(self, field.name) != field.default:
                raise UsageError(
                    f"{_flag(field.name)}: only --aggregation fisher uses it. Leave it out with {self.kind}."
                )
        for name in ("word_dimensions", "gaussians"):
            if getattr(self, name) < 1:
                raise UsageError(f"{_flag(name)} {getattr(self, name)}: too small. Give 1 or more.")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
