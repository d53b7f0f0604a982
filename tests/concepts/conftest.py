"""Word vectors in the formats that are handed round, written by gensim itself or by hand."""

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

Vectors = Mapping[str, np.ndarray]
WriteVectors = Callable[..., str]


@pytest.fixture(scope="session")
def word_vectors():
    """Random vectors for words."""

    def make(words: str, dim: int = 20, seed: int = 0) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        return {word: rng.normal(size=dim).astype(np.float32) for word in words.split()}

    return make


@pytest.fixture
def write_vectors(tmp_path) -> WriteVectors:
    """Path of a file of word vectors, packed if its name ends in .gz."""

    def write(vectors: Vectors, form: str = "GloVe text", name: str = "words") -> str:
        path = tmp_path / name
        if form == "GloVe text":
            path.write_text("".join(f"{word} {numbers(vector)}\n" for word, vector in vectors.items()), "utf-8")
        else:
            kv = KeyedVectors(len(next(iter(vectors.values()))))
            kv.add_vectors(list(vectors), list(vectors.values()))
            kv.save_word2vec_format(str(path), binary=form == "word2vec binary")
        if name.endswith(".gz"):
            pack(path)
        return str(path)

    return write


def numbers(vector: np.ndarray) -> str:
    return " ".join(map(str, vector.tolist()))


def pack(path: Path) -> None:
    """Whatever stands there, as gensim packs by the name and hands write bytes."""
    data = path.read_bytes()
    path.write_bytes(data if data.startswith(b"\x1f\x8b") else gzip.compress(data))
