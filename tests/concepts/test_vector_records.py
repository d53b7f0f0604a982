import io

import numpy as np
import pytest

from attn.concepts import vector_records
from attn.concepts.vector_records import Layout, find_layout, sieve

LINES = [b"hand 0.1 -2 3e-1\n", b"shake 4 5 6\n", b"hug 7 8 9\n"]


def binary(*records: tuple[bytes, list[float]], dim: int = 3, count: int | None = None, end: bytes = b"") -> bytes:
    head = b"%d %d\n" % (len(records) if count is None else count, dim)
    return head + b"".join(word + b" " + np.array(vector, "<f4").tobytes() + end for word, vector in records)


def kept(data: bytes, *wanted: bytes) -> dict[bytes, bytes]:
    return sieve(io.BytesIO(data), frozenset(wanted)).records


@pytest.mark.parametrize(
    ("first", "second", "layout"),
    [
        (b"2 3\n", b"hand 1 2 3\n", Layout("word2vec text", 3, 2)),
        (b"2 3\n", b"hand 1 2 3 \n", Layout("word2vec text", 3, 2)),  # as the original program ends its lines
        (b"2 3\r\n", b"hand\t1\t2\t3\r\n", Layout("word2vec text", 3, 2)),
        (b"2 3\n", b"hand \x00\x00\x80?abc", Layout("word2vec binary", 3, 2)),
        (b"hand 1 2 3\n", b"", Layout("GloVe text", 3)),
        (b"hand 1 -2.5e-3\n", b"", Layout("GloVe text", 2)),
        (b"1 2 3\n", b"", Layout("GloVe text", 2)),  # a word may be a number
    ],
)
def test_tells_the_formats_apart(first, second, layout):
    assert find_layout(first, second) == layout


@pytest.mark.parametrize(
    "first",
    [
        *(b"", b"\n", b"hand\n", b"hand 1\n", b"hand shake\n", b"hand 1 2 x\n", b"a,1,2\n", b"<html> 1\n", b"2 -3\n"),
        *(b"0 300\n", b"7 0\n", b"3 999999999999\n"),
    ],
)
def test_other_beginnings_are_refused(first):
    with pytest.raises(ValueError, match="its first line"):
        find_layout(first, b"hand 1 2 3\n")


@pytest.mark.parametrize("head", [b"", b"3 3\n", b"\xef\xbb\xbf3 3\n", b"\xef\xbb\xbf"])
def test_only_the_words_wanted_pass(head):
    assert kept(head + b"".join(LINES), b"hand", b"hug", b"kiss") == {b"hand": b"0.1 -2 3e-1", b"hug": b"7 8 9"}


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("chunk_bytes", [1, 7, 1 << 20])
def test_binary_records_across_chunks(monkeypatch, chunk_bytes, end):
    """Vectors full of the bytes of spaces and newlines, which are no spaces and newlines."""
    monkeypatch.setattr(vector_records, "CHUNK_BYTES", max(chunk_bytes, 8))  # the first line is never as short
    tricky = np.frombuffer(b" \n \n\n\n  \n  \n", "<f4").tolist()
    records = [(b"first", [1.0, 2, 3]), *((b"w%d" % i, tricky) for i in range(20)), (b"hug", [7, 8, 9])]
    found = kept(binary(*records, end=end), b"hug", b"w7", b"first", b"kiss")
    assert {word: np.frombuffer(vector, "<f4").tolist() for word, vector in found.items()} == {
        b"first": [1, 2, 3],
        b"w7": tricky,
        b"hug": [7, 8, 9],
    }


@pytest.mark.parametrize("data", [b"a 1 2\nb 3 4\na 5 6\n", b"3 2\na 1 2\nb 3 4\na 5 6\n"])
def test_of_a_word_that_stands_twice_the_first_counts(data):
    assert kept(data, b"a") == {b"a": b"1 2"}
    assert kept(binary((b"a", [1, 2]), (b"a", [5, 6]), dim=2), b"a") == {b"a": np.array([1, 2], "<f4").tobytes()}


def test_words_that_no_class_needs_do_no_harm():
    odd = b". . . 1 2 3\n" + b"at name@somewhere.org 1 2 3\n" + b"\xff\x97\xfe 1 2 3\n" + b"\n" + b"\xc2\xa0 1 2 3\n"
    assert kept(LINES[0] + odd + LINES[2], b"hug", b"at", b".") == {b"hug": b"7 8 9"}
    assert kept(LINES[0] + b"at home 1 2 3\nat 4 5 6\n", b"at") == {b"at": b"4 5 6"}


@pytest.mark.parametrize("cut", range(1, 14))
def test_binary_file_cut_anywhere_is_noticed(cut):
    data = binary((b"hand", [1, 2, 3]), (b"hug", [4, 5, 6]))
    with pytest.raises(EOFError, match="ends after 1 of 2 vectors"):
        kept(data[:-cut], b"hand")


@pytest.mark.parametrize("head", [b"", b"3 3\n"])
@pytest.mark.parametrize("cut", [2, 4, 6])
def test_text_file_cut_in_a_vector_is_noticed(head, cut):
    with pytest.raises(EOFError, match="ends in the middle"):
        kept((head + b"".join(LINES))[:-cut], b"hand")


def test_text_file_with_fewer_lines_than_claimed_is_noticed():
    with pytest.raises(EOFError, match="ends after 3 of 5 vectors"):
        kept(b"5 3\n" + b"".join(LINES), b"hand")


def test_numbers_missing_within_the_file_are_noticed():
    with pytest.raises(ValueError, match="'shake' has 2 numbers, not 3"):
        kept(b"hand 1 2 3\nshake 4 5\nhug 7 8 9\n", b"shake")


def test_text_is_not_taken_for_binary():
    """A short second line must not make the text below it pass as numbers."""
    with pytest.raises(ValueError, match="second line is text, but not a word and the 5 numbers claimed"):
        kept(b"2 5\nhand 0.12 0.23 0.34 0.45\nshake 0.12 0.23 0.34 0.45 0.56\n", b"hand")
