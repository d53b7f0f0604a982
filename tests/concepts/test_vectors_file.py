import gzip
import hashlib
import os
import pickle
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from attn.concepts.vectors_file import read_word_vectors
from attn.errors import UsageError
from attn.storage.location import Location

FORMS = ["word2vec text", "word2vec binary", "GloVe text"]
TVHI = "hand shake high five hug kiss"


@pytest.mark.parametrize("name", ["words", "words.txt", "words.gz", "words.bin.gz"])
@pytest.mark.parametrize("form", FORMS)
def test_reads_every_format(word_vectors, write_vectors, form, name):
    vectors = word_vectors(f"the {TVHI} of")
    path = write_vectors(vectors, form, name)
    file = read_word_vectors(path, TVHI.split())
    assert list(file.vectors) == TVHI.split()
    assert all(np.array_equal(file.vectors[word], vectors[word]) for word in file.vectors)
    assert {vector.dtype for vector in file.vectors.values()} == {np.dtype(np.float64)}
    assert (file.form, file.dim, file.url) == (form, 20, path)
    assert file.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_the_hash_is_of_the_whole_file(word_vectors, write_vectors):
    path = Path(write_vectors(word_vectors(TVHI), "word2vec binary"))
    path.write_bytes(path.read_bytes() + bytes(3 << 20))
    assert read_word_vectors(str(path), ["hug"]).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("form", ["word2vec text", "word2vec binary"])  # of files without a first line it leaks some
def test_equals_what_gensim_reads_by_itself(word_vectors, write_vectors, form):
    path = write_vectors(word_vectors("a b c d", dim=7), form)
    by_gensim = KeyedVectors.load_word2vec_format(path, binary="binary" in form)
    file = read_word_vectors(path, "abcd")
    assert all(np.array_equal(file.vectors[word], by_gensim[word]) for word in "abcd")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scheme", ["s3", "memory", "file"])
def test_reads_from_any_storage(request, word_vectors, write_vectors, tmp_path, scheme, form):
    vectors = word_vectors(TVHI)
    path = Path(write_vectors(vectors, form, "words.gz"))
    folder = request.getfixturevalue("s3") if scheme == "s3" else f"{scheme}://{tmp_path}"
    url = f"{folder}/far/words"
    Location.at(url).write_atomic(path.read_bytes())
    file = read_word_vectors(url, ["kiss", "gone"])
    assert list(file.vectors) == ["kiss"]
    assert np.array_equal(file.vectors["kiss"], vectors["kiss"])
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_word_may_be_written_in_other_cases(word_vectors, write_vectors):
    path = write_vectors(word_vectors("tv TV Hug HUG KISS Archery über ÜBER Gehen"))
    file = read_word_vectors(path, ["tv", "hug", "kiss", "archery", "über", "gehen", "gone"])
    assert dict(file.spellings) == {
        "tv": "tv",
        "hug": "HUG",
        "kiss": "KISS",
        "archery": "Archery",
        "über": "über",
        "gehen": "Gehen",
    }
    assert np.array_equal(file.vectors["archery"], word_vectors("tv TV Hug HUG KISS Archery")["Archery"])
    assert read_word_vectors(path, ["Tv"]).spellings == {"Tv": "tv"}


def test_a_vector_of_zeros_is_none(word_vectors, write_vectors):
    vectors = word_vectors("hug kiss Kiss")
    path = write_vectors(vectors | {"hug": np.zeros(20), "kiss": np.zeros(20)})
    file = read_word_vectors(path, ["hug", "kiss"])
    assert dict(file.spellings) == {"kiss": "Kiss"}
    assert np.array_equal(file.vectors["kiss"], vectors["Kiss"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("form", FORMS)
def test_damaged_vector_is_named(word_vectors, write_vectors, form, value):
    vectors = word_vectors("hug kiss")
    vectors["kiss"][3] = value
    path = write_vectors(vectors, form)
    with pytest.raises(UsageError, match=r"words: the vector of 'kiss' holds NaN or infinity"):
        read_word_vectors(path, ["hug", "kiss"])
    assert list(read_word_vectors(path, ["hug"]).vectors) == ["hug"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lost", [40, 50, 10_000])
@pytest.mark.parametrize("name", ["words", "words.gz"])
def test_truncated_file_is_named(word_vectors, write_vectors, form, lost, name):
    path = Path(write_vectors(word_vectors(TVHI), form, name))
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(
        UsageError, match=rf"{name}: damaged, or not a file of word vectors \(.+\)\. Give word2vec"
    ) as error:
        read_word_vectors(str(path), ["hand", "kiss"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", [0.3, 0.6, -6])
def test_damaged_gzip_is_named(word_vectors, write_vectors, place):
    path = Path(write_vectors(word_vectors(TVHI), "word2vec binary", "words.gz"))
    data = bytearray(path.read_bytes())
    data[int(place * len(data)) if place > 0 else int(place)] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"words\.gz: damaged"):
        read_word_vectors(str(path), ["hand"])


def test_a_number_that_is_none_is_named(tmp_path):
    (tmp_path / "words").write_text("hand 1 2\nhug 1 2,5\n")
    with pytest.raises(UsageError, match=r"words: damaged, or not a file of word vectors \(.*2,5"):
        read_word_vectors(str(tmp_path / "words"), ["hug"])


class Trap:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_in_a_file_is_executed(tmp_path, protocol):
    (tmp_path / "words.kv").write_bytes(pickle.dumps(Trap(tmp_path / "executed"), protocol))
    with pytest.raises(UsageError, match=r"words\.kv: "):
        read_word_vectors(str(tmp_path / "words.kv"), ["hug"])
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", r"its first line is neither"),
        (b"PK\x03\x04rest", r": a zip archive\. Unpack it"),
        (b"\xba\x16\x4f\x2f\x0c\x00", r": a fastText model\. Give the \.vec"),
        (b"\x80\x05rest", r": a pickle, which is never opened"),
        (gzip.compress(b"", mtime=0), r"its first line is neither"),
        (b"1 ApplyEyeMakeup\n2 ApplyLipstick\n", r"its first line is neither"),
        (b"ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\n", r"its first line is neither"),
        (b'{"hug": [1, 2]}', r"its first line is neither"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), r"its first line is neither"),
    ],
)
def test_foreign_file_is_named(tmp_path, data, complaint):
    (tmp_path / "thing").write_bytes(data)
    with pytest.raises(UsageError, match=rf"thing.*{complaint}"):
        read_word_vectors(str(tmp_path / "thing"), ["hug"])


def test_file_that_cannot_be_read_is_named(tmp_path, s3):
    for url, complaint in [
        (str(tmp_path / "gone"), "gone: does not exist"),
        (str(tmp_path), "is a folder"),
        (f"{s3}/gone", "gone: does not exist"),
        ("", "a path is empty"),
    ]:
        with pytest.raises(UsageError, match=complaint):
            read_word_vectors(url, ["hug"])


def test_missing_gensim_is_named(monkeypatch, word_vectors, write_vectors):
    path = write_vectors(word_vectors(TVHI))
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(UsageError, match=r"pip install 'attn\[text\]'"):
        read_word_vectors(path, ["hug"])


@pytest.mark.parametrize("form", FORMS)
def test_needs_the_memory_of_the_words_asked_for(word_vectors, write_vectors, form):
    path = write_vectors(word_vectors(" ".join(f"w{i}" for i in range(10_000)), dim=200), form)
    assert os.path.getsize(path) > 7e6
    read_word_vectors(path, ["w7"])  # imports gensim
    tracemalloc.start()
    try:
        file = read_word_vectors(path, ["w7", "w9999"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(file.vectors) == 2
    assert peak < 3e6
