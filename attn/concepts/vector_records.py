"""Three common formats of word vectors, recognised by their first lines, and a filter for wanted words.

    word2vec text      `<words> <dim>`, then a line `<word> <number> …` for each word
    word2vec binary    `<words> <dim>`, then for each word `<word> `, dim float32 little-endian, often a newline
    GloVe text         as word2vec text, without its first line

Published files hold millions of words, of which a class list needs about a hundred. Only the records of wanted words
are stored and parsed, so that memory depends on these words and not on the size of the file. Other words cannot do harm
either: some published files hold words with spaces or bytes that are not UTF-8.
"""

import codecs
import dataclasses
import io
import itertools
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

CHUNK_BYTES = 1 << 18
FLOAT_BYTES = 4
MOST_DIMENSIONS = 100_000  # word vectors are shorter; a larger number is not a dimension
_TEXT_BYTES = frozenset(b"\t\n\r" + bytes(range(32, 127)))

Form = Literal["word2vec text", "word2vec binary", "GloVe text"]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Layout of a file; `count` is the number of words that it claims, or None without a claim."""

    form: Form
    dim: int
    count: int | None = None


class Sieved(NamedTuple):
    """Layout of a file, and the bytes that follow each wanted word.

    In text formats, the numbers are separated by single spaces.
    """

    layout: Layout
    records: dict[bytes, bytes]


def sieve(stream: io.BufferedIOBase, wanted: Collection[bytes]) -> Sieved:
    """Read up to the last vector and return the records of the wanted words.

    If a word appears twice, the first record is used. A truncated file is detected, except a GloVe text that was cut
    between two lines or in the last number.

    Raises:
        ValueError, EOFError: the file has another format, or is truncated; the message gives the evidence.
    """
    first, second = stream.readline(CHUNK_BYTES).removeprefix(codecs.BOM_UTF8), stream.readline(CHUNK_BYTES)
    layout = find_layout(first, second)
    if layout.form == "word2vec binary":
        return Sieved(layout, _binary_records(stream, second, layout, wanted))
    head = [second] if layout.form == "word2vec text" else [first, second]
    return Sieved(layout, _text_records(itertools.chain(head, stream), layout, wanted))


def find_layout(first: bytes, second: bytes) -> Layout:
    """Layout of a file with these first two lines.

    Raises:
        ValueError: files of word vectors do not begin like this.
    """
    fields = first.split()
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        count, dim = map(int, fields)
        if count < 1 or not 1 <= dim <= MOST_DIMENSIONS:
            raise ValueError(f"its first line claims {count} vectors of {dim} numbers")
        return Layout("word2vec text" if _is_record(second, dim) else "word2vec binary", dim, count)
    dim = len(fields) - 1
    if dim < 2 or not _is_record(first, dim):  # a word and one number: some other list
        raise ValueError("its first line is neither `<words> <dimension>` nor a word and its numbers")
    return Layout("GloVe text", dim)


def _is_record(line: bytes, dim: int) -> bool:
    try:
        return len([float(field) for field in line.split()[1:]]) == dim
    except ValueError:
        return False


def _text_records(lines: Iterable[bytes], layout: Layout, wanted: Collection[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    read, last = 0, b""
    for line in lines:
        word = line.split(maxsplit=1)[:1]
        if not word:
            continue
        read, last = read + 1, line
        if word[0] in wanted and word[0] not in found:
            numbers = line.split()[1:]
            if len(numbers) < layout.dim:
                raise ValueError(f"{word[0].decode()!r} has {len(numbers)} numbers, not {layout.dim}")
            if len(numbers) == layout.dim:  # otherwise a word with spaces, which no class needs
                found[word[0]] = b" ".join(numbers)
    if read < (layout.count or 0):
        raise EOFError(f"it ends after {read} of {layout.count} vectors")
    if len(last.split()) <= layout.dim:
        raise EOFError("it ends in the middle of a vector")
    return found


def _binary_records(
    stream: io.BufferedIOBase, pending: bytes, layout: Layout, wanted: Collection[bytes]
) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    start, vector_bytes = 0, FLOAT_BYTES * layout.dim
    for i in range(layout.count or 0):
        space = pending.find(b" ", start)
        if space < 0 or space + 1 + vector_bytes > len(pending):
            pending, start = pending[start:] + stream.read(CHUNK_BYTES + vector_bytes), 0
            space = pending.find(b" ")
        end = space + 1 + vector_bytes
        if space < 0 or end > len(pending):
            raise EOFError(f"it ends after {i} of {layout.count} vectors")
        if i == 0 and _TEXT_BYTES.issuperset(pending[space + 1 : end]):
            raise ValueError(
                f"its second line is text, but not a word and the {layout.dim} numbers claimed in the first"
            )
        word = pending[start:space].lstrip(b"\n")
        if word in wanted:
            found.setdefault(word, pending[space + 1 : end])
        start = end
    return found
