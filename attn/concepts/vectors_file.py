"""Word vectors from a published file: word2vec text or binary, or GloVe text, each possibly compressed by gzip.

gensim parses only the records of wanted words. Nothing is unpickled, so files of gensim's own `save` are refused.
"""

import dataclasses
import gzip
import hashlib
import io
import tempfile
import zlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from attn.concepts.vector_records import CHUNK_BYTES, Form, Layout, Sieved, sieve
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.location import Location

_GZIP = b"\x1f\x8b"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive. Unpack it and give the file inside.",
    b"\x80": "a pickle, which is never opened. Write it again with gensim's save_word2vec_format.",
    b"\xba\x16\x4f\x2f": "a fastText model. Give the .vec file that is published with it.",
}


@dataclasses.dataclass(frozen=True)
class WordVectors:
    """Vectors of the requested words in a file.

    Attributes:
        url: URL of the file without credentials, for logs.
        vectors: requested word → vector, finite and not zero; words that the file does not contain are missing.
        spellings: requested word → its spelling in the file.
        form: format of the file.
        dim: length of a vector.
        sha256: hash of the file as stored, compressed or not.
    """

    url: str
    vectors: Mapping[str, Float[np.ndarray, "dim"]]
    spellings: Mapping[str, str]
    form: Form
    dim: int
    sha256: str


def read_word_vectors(url: str, words: Collection[str]) -> WordVectors:
    """Vectors of words, in float64.

    A word is looked up as given, then in lower case, in upper case and capitalised, because some files preserve the
    case of their text. A zero vector, which some files use for unknown words, counts as missing.

    The file, local or remote, is read once from start to end, and only the requested words are stored in memory.

    Raises:
        UsageError: the file cannot be read, is damaged or has another format; the vector of a word holds NaN or
            infinity; gensim is not installed.
    """
    wanted = frozenset(spelling for word in words for spelling in _spellings(word))
    known, layout, sha256 = _read(url, wanted)
    for spelling, vector in known.items():
        if not np.isfinite(vector).all():
            raise UsageError(f"{shown(url)}: the vector of {spelling!r} holds NaN or infinity. Fetch the file again.")
    found = {word: [name for name in _spellings(word) if name in known and known[name].any()] for word in words}
    spellings = {word: names[0] for word, names in found.items() if names}
    vectors = {word: known[name] for word, name in spellings.items()}
    return WordVectors(shown(url), vectors, spellings, layout.form, layout.dim, sha256)


def _spellings(word: str) -> tuple[str, ...]:
    return word, word.lower(), word.upper(), word.capitalize()


def _read(url: str, wanted: Collection[str]) -> tuple[dict[str, np.ndarray], Layout, str]:
    """Vectors by spelling, and the layout and SHA-256 of the file."""
    gensim = _gensim_reader()
    location = Location.at(url)
    with location.errors(), location.open() as file:
        hashed = _HashedReader(file)
        try:
            sieved = _sieve_whole(io.BufferedReader(hashed, CHUNK_BYTES), url, wanted)
            return _parsed(sieved, gensim), sieved.layout, hashed.sha256.hexdigest()
        except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            formats = "Give word2vec text or binary or GloVe text, plain or .gz."
            raise UsageError(f"{shown(url)}: damaged, or not a file of word vectors ({error}). {formats}") from error


def _sieve_whole(packed: io.BufferedReader, url: str, wanted: Collection[str]) -> Sieved:
    """Read the file to its end, because the hash and gzip's checksum cover the whole file."""
    start = packed.peek(len(_GZIP))
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            raise UsageError(f"{shown(url)}: {what}")
    stream = gzip.GzipFile(fileobj=packed) if start.startswith(_GZIP) else packed
    sieved = sieve(stream, frozenset(word.encode() for word in wanted))
    while stream.read(CHUNK_BYTES):
        pass
    return sieved


def _parsed(sieved: Sieved, gensim: Any) -> dict[str, np.ndarray]:
    """Vectors parsed by gensim, from a temporary file because gensim accepts nothing else."""
    layout, records = sieved
    binary = layout.form == "word2vec binary"
    with tempfile.NamedTemporaryFile(prefix="attn-words-") as file:
        file.write(b"%d %d\n" % (len(records), layout.dim))
        file.writelines(word + b" " + vector + (b"" if binary else b"\n") for word, vector in records.items())
        file.flush()
        found = gensim.load_word2vec_format(file.name, binary=binary)
    return {word: found[word].astype(np.float64) for word in found.key_to_index}


def _gensim_reader() -> Any:
    """gensim's class of word vectors, imported here because it takes seconds and is an optional dependency."""
    try:
        from gensim.models import KeyedVectors
    except ImportError as error:
        raise UsageError(f"--word-vectors: gensim is missing ({error}). Run pip install 'attn[text]'.") from error
    return KeyedVectors


class _HashedReader(io.RawIOBase):
    """File that is hashed while it is read, because reading a remote file twice would double the cost."""

    def __init__(self, file: Any) -> None:
        self._file, self.sha256 = file, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self.sha256.update(data)
        return len(data)
