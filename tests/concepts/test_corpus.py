import pytest

from attn.concepts.corpus import read_corpus
from attn.errors import UsageError


@pytest.fixture
def corpus(tmp_path):
    """Path of a file with this text."""

    def write(text: str) -> str:
        path = tmp_path / "corpus.txt"
        path.write_text(text, "utf-8")
        return str(path)

    return write


def test_words_come_once_in_small_letters_and_sorted(corpus):
    assert read_corpus(corpus("Walk\n\n  run \r\nwalk\nÜber\nu\u0308ber\n")) == ("run", "walk", "über")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("walk\nride bike\n", r"^--corpus .*corpus\.txt: line 2 has 2 words\. Write one word per line\.$"),
        ("\n \n", r"^--corpus .*corpus\.txt: no words found\. Write one word per line, or leave it out\.$"),
    ],
)
def test_what_is_no_list_of_words_is_refused(corpus, text, complaint):
    with pytest.raises(UsageError, match=complaint):
        read_corpus(corpus(text))


def test_a_corpus_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"none\.txt"):
        read_corpus(str(tmp_path / "none.txt"))
