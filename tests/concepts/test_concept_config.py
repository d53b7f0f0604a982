"""Which choices go together, one line for those that do not."""

import re
from typing import Any

import pytest

from attn.concepts.concept_config import ConceptConfig
from attn.errors import UsageError


@pytest.mark.parametrize(
    ("choices", "kind"),
    [
        ({}, "onehot"),
        ({"word_vectors": "words"}, "fisher"),
        ({"word_vectors": "words", "aggregation": "average"}, "average"),
        ({"aggregation": "onehot"}, "onehot"),
        ({"word_vectors": "words", "concept_norm": "none", "word_dimensions": 1, "gaussians": 1}, "fisher"),
        ({"word_vectors": "words", "aggregation": "average", "concept_norm": "none"}, "average"),
    ],
)
def test_what_is_meant(choices: dict[str, Any], kind: str) -> None:
    config = ConceptConfig(**choices)
    config.check_concepts()
    assert config.kind == kind


AVERAGE = {"word_vectors": "words", "aggregation": "average"}


@pytest.mark.parametrize(
    ("choices", "complaint"),
    [
        (
            {"word_vectors": "words", "aggregation": "onehot"},
            "--word-vectors words: --aggregation onehot does not use them. Leave out",
        ),
        ({"aggregation": "fisher"}, "--aggregation fisher: needs word vectors. Give --word-vectors FILE, or use"),
        ({"concept_norm": "none"}, "--concept-norm none: one-hot vectors have length 1. Leave it out"),
        ({"corpus": "c.txt"}, "--corpus: only --aggregation fisher uses it. Leave it out with onehot"),
        (AVERAGE | {"corpus": "c.txt"}, "--corpus: only --aggregation fisher uses it. Leave it out with average"),
        (AVERAGE | {"gaussians": 3}, "--gaussians: only --aggregation fisher uses it. Leave it out with average"),
        (AVERAGE | {"word_dimensions": 3}, "--word-dimensions: only --aggregation fisher uses it. Leave it out with"),
        ({"word_vectors": "words", "word_dimensions": 0}, "--word-dimensions 0: too small. Give 1 or more"),
        ({"word_vectors": "words", "gaussians": -1}, "--gaussians -1: too small. Give 1 or more"),
    ],
)
def test_what_cannot_be_is_one_line(choices: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(complaint)}") as error:
        ConceptConfig(**choices).check_concepts()
    assert "\n" not in str(error.value)
