"""Concept vectors of the classes, made from their names; the EnergyNet receives one with each map."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from attn.classes import check_class_names
from attn.concepts.average import average_word_vector, unit_rows
from attn.concepts.concept_config import ConceptConfig
from attn.concepts.corpus import read_corpus
from attn.concepts.fisher import fisher_vector, signed_root
from attn.concepts.mixture import fit_word_space
from attn.concepts.vectors_file import WordVectors, read_word_vectors
from attn.concepts.words import name_as_word, words_of
from attn.errors import UsageError
from attn.storage.error_messages import shown

LEAST_LENGTH = 1e-6  # a shorter vector is zero up to rounding

Words = Mapping[str, Sequence[str]]


@dataclasses.dataclass(frozen=True)
class ConceptVectors:
    """Concept vectors V_c of all classes, and a record of how they were made, in JSON types."""

    vectors: Float[np.ndarray, "cls dim"]
    record: Mapping[str, Any]


def make_concept_vectors(class_names: Sequence[str], config: ConceptConfig, *, seed: int = 0) -> ConceptVectors:
    """Concept vectors from the words of the class names, in float32.

    `fisher` (the default with word vectors) distinguishes names of several words best, `average` needs no vocabulary
    for fitting, `name` looks up whole names (vectors of a text encoder), `onehot` (the default without word vectors)
    carries no meaning, which costs accuracy. Only names and corpus are used for fitting, never a video.

    Words that the file does not contain are ignored. The record lists them, and the classes that end up with the same
    vector and cannot be told apart by it.

    Args:
        class_names: names of the classes, in the order of their IDs.
        config: settings; `word_vectors` is the URL of word2vec text or binary or GloVe text, plain or .gz.
        seed: seed of the mixture.

    Raises:
        UsageError: the aggregation does not go with other settings; a name has no known word, or its words cancel out;
            there are more Gaussians than words; a file cannot be read.

    Source: Li et al. 2017, section 3.4; Jain et al. 2015.
    Differs: the length of the paper's Fisher vectors is not known.
    """
    names = check_class_names(class_names, where="the class list")
    config.check_concepts()
    if config.word_vectors is None:
        return ConceptVectors(np.eye(len(names), dtype=np.float32), {"aggregation": "onehot", "dim": len(names)})
    words = {name: (name_as_word(name),) if config.kind == "name" else words_of(name) for name in names}
    corpus = read_corpus(config.corpus) if config.corpus is not None else ()
    wanted = sorted({word for found in words.values() for word in found}.union(corpus))
    file = read_word_vectors(config.word_vectors, wanted)
    known = _known_words(words, file)
    vectors, fitted = _aggregated(known, file, config, seed)
    record = {"aggregation": config.kind, "norm": config.concept_norm, "dim": vectors.shape[1]}
    record |= _file_record(words, file) | _corpus_record(config.corpus, corpus, file) | fitted
    return ConceptVectors(vectors, {**record, "same_vector": _same_vectors(names, vectors)})


def _known_words(words: Words, file: WordVectors) -> Words:
    """Words of each class that the file contains."""
    known = {name: [word for word in found if word in file.vectors] for name, found in words.items()}
    nameless = [f"{name} ({', '.join(words[name]) or 'no words'})" for name, found in known.items() if not found]
    if nameless:
        raise UsageError(
            f"{file.url}: no word vectors for {', '.join(nameless)}. Rename these classes, or give other word vectors."
        )
    return known


def _aggregated(
    known: Words, file: WordVectors, config: ConceptConfig, seed: int
) -> tuple[Float[np.ndarray, "cls dim"], dict[str, Any]]:
    """One row per class, and a record of what was fitted."""
    groups = [np.stack([file.vectors[word] for word in sorted(found)]) for found in known.values()]
    if config.kind in ("average", "name"):
        rows, fitted = np.stack([average_word_vector(unit_rows(group)) for group in groups]), {}
    else:
        rows, fitted = _fisher_rows(groups, file, config, seed)
    lost = [name for name, length in zip(known, np.linalg.norm(rows, axis=1), strict=True) if length < LEAST_LENGTH]
    if lost:
        raise UsageError(f"--aggregation {config.kind}: the words of {', '.join(lost)} cancel out. Use another.")
    if config.kind == "fisher":
        rows = signed_root(rows)
    return (unit_rows(rows) if config.concept_norm == "l2" else rows).astype(np.float32), fitted


def _fisher_rows(
    groups: Sequence[Float[np.ndarray, "_ word_dim"]], file: WordVectors, config: ConceptConfig, seed: int
) -> tuple[Float[np.ndarray, "cls dim"], dict[str, Any]]:
    """Fisher vectors without signed root and normalisation, so that zero vectors can be detected."""
    vocabulary = np.stack(list(file.vectors.values()))
    try:
        space = fit_word_space(vocabulary, seed=seed, dimensions=config.word_dimensions, gaussians=config.gaussians)
    except ValueError as error:
        fewer = "fewer --gaussians, or " if config.gaussians > len(vocabulary) > config.word_dimensions else ""
        raise UsageError(f"{file.url}: {error}. Give {fewer}--aggregation average.") from error
    gaussians, rank = space.gmm.means.shape
    fitted = {"seed": seed, "fitted_words": len(vocabulary), "pca_rank": rank, "mixture_size": gaussians}
    return np.stack([fisher_vector(space.project(group), space.gmm, improved=False) for group in groups]), fitted


def _file_record(words: Words, file: WordVectors) -> dict[str, Any]:
    return {
        "file": file.url,
        "sha256": file.sha256,
        "format": file.form,
        "word_dim": file.dim,
        "words": {name: list(found) for name, found in words.items()},
        "spellings": {word: spelling for word, spelling in file.spellings.items() if spelling != word},
        "unknown": {
            name: missing
            for name, found in words.items()
            if (missing := [word for word in found if word not in file.vectors])
        },
    }


def _corpus_record(url: str | None, corpus: Sequence[str], file: WordVectors) -> dict[str, Any]:
    """Record of the corpus; empty without a corpus."""
    if url is None:
        return {}
    unknown = sum(word not in file.vectors for word in corpus)
    if unknown == len(corpus):
        raise UsageError(f"--corpus {shown(url)}: {file.url} contains none of its words. Give another or leave it out.")
    sha256 = hashlib.sha256("\n".join(corpus).encode()).hexdigest()
    return {"corpus": shown(url), "corpus_sha256": sha256, "corpus_words": len(corpus), "corpus_unknown": unknown}


def _same_vectors(names: Sequence[str], vectors: Float[np.ndarray, "cls dim"]) -> list[list[str]]:
    """Groups of classes that share a vector."""
    groups: dict[bytes, list[str]] = {}
    for name, vector in zip(names, vectors, strict=True):
        groups.setdefault(vector.tobytes(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]
