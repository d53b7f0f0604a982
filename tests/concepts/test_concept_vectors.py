import itertools
import json

import numpy as np
import pytest

from attn.classes import parse_class_list
from attn.concepts.average import average_word_vector, unit_rows
from attn.concepts.concept_vectors import make_concept_vectors
from attn.concepts.fisher import fisher_vector
from attn.concepts.mixture import fit_word_space
from attn.concepts.words import words_of
from attn.errors import UsageError

TVHI = ("handShake", "highFive", "hug", "kiss")
WORDS = "hand shake high five hug kiss"


@pytest.fixture
def tvhi_file(word_vectors, write_vectors) -> str:
    return write_vectors(word_vectors(f"the {WORDS}"))


def test_without_word_vectors_classes_are_one_hot():
    made = make_concept_vectors(TVHI)
    assert made.vectors.dtype == np.float32
    assert made.vectors.tolist() == np.eye(4).tolist()
    assert made.record == {"aggregation": "onehot", "dim": 4}
    assert make_concept_vectors(TVHI, aggregation="onehot").record == made.record


def test_fisher_vectors_of_tvhi(tvhi_file, word_vectors):
    made = make_concept_vectors(TVHI, word_vectors=tvhi_file, seed=3)
    assert made.vectors.dtype == np.float32
    assert made.vectors.shape == (4, 2 * 1 * 3)
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, rtol=1e-6)
    sha256 = made.record["sha256"]
    assert len(sha256) == 64
    assert made.record == {
        "aggregation": "fisher",
        "dim": 6,
        "file": tvhi_file,
        "sha256": sha256,
        "format": "GloVe text",
        "word_dim": 20,
        "words": {
            "handShake": ["hand", "shake"],
            "highFive": ["high", "five"],
            "hug": ["hug"],
            "kiss": ["kiss"],
        },
        "spellings": {},
        "unknown": {},
        "seed": 3,
        "fitted_words": 6,
        "pca_rank": 3,
        "mixture_size": 1,
        "same_vector": [],
    }
    assert json.loads(json.dumps(made.record)) == made.record


def test_rows_are_the_fisher_vectors_of_the_names(tvhi_file, word_vectors):
    vectors = word_vectors(f"the {WORDS}")
    space = fit_word_space(np.stack([vectors[word] for word in sorted(WORDS.split())]), seed=0)
    made = make_concept_vectors(TVHI, word_vectors=tvhi_file)
    for name, row in zip(TVHI, made.vectors, strict=True):
        words = np.stack([vectors[word] for word in words_of(name)])
        np.testing.assert_allclose(row, fisher_vector(space.project(words), space.gmm), atol=1e-6)


def test_average_of_tvhi(tvhi_file, word_vectors):
    vectors = word_vectors(f"the {WORDS}")
    made = make_concept_vectors(TVHI, word_vectors=tvhi_file, aggregation="average")
    assert made.vectors.shape == (4, 20)
    for name, row in zip(TVHI, made.vectors, strict=True):
        mean = average_word_vector(unit_rows(np.stack([vectors[word] for word in words_of(name)])))
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
    assert made.record["aggregation"] == "average"
    assert "mixture_size" not in made.record


def test_ucf101_fills_the_whole_mixture(real_data, word_vectors, write_vectors):
    path = real_data / "ucf101" / "ucfTrainTestlist" / "classInd.txt"
    names = parse_class_list(path.read_text().splitlines(), where=str(path))
    words = sorted({word for name in names for word in words_of(name)})
    file = write_vectors(word_vectors(" ".join(words), dim=300), "word2vec binary", "words.bin.gz")
    made = make_concept_vectors(names, word_vectors=file)
    assert made.vectors.shape == (101, 200)
    assert (made.record["pca_rank"], made.record["mixture_size"]) == (50, 2)
    assert made.record["same_vector"] == []
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, rtol=1e-6)
    again = make_concept_vectors(names[::-1], word_vectors=file)
    assert np.array_equal(again.vectors[::-1], made.vectors)
    assert make_concept_vectors(names, word_vectors=file).record == made.record


@pytest.mark.parametrize("aggregation", ["fisher", "average"])
def test_the_order_of_the_words_does_not_show_in_the_last_digit(tvhi_file, aggregation):
    names = ["_".join(words) for words in itertools.permutations(WORDS.split()[:5])]
    made = make_concept_vectors([*names, "kiss"], word_vectors=tvhi_file, aggregation=aggregation)
    assert made.record["same_vector"] == [names]


@pytest.mark.parametrize("aggregation", ["fisher", "average"])
def test_a_name_is_known_by_its_known_words(tvhi_file, aggregation):
    names = ["handShakeWobble", "wobblyKiss", "HUG"]
    made = make_concept_vectors(names, word_vectors=tvhi_file, aggregation=aggregation)
    same = make_concept_vectors(["handShake", "kiss", "hug"], word_vectors=tvhi_file, aggregation=aggregation)
    assert made.record["unknown"] == {"handShakeWobble": ["wobble"], "wobblyKiss": ["wobbly"]}
    assert made.record["words"]["handShakeWobble"] == ["hand", "shake", "wobble"]
    assert np.array_equal(made.vectors, same.vectors)


def test_capitals_of_the_file_are_recorded(word_vectors, write_vectors):
    file = write_vectors(word_vectors("Kiss hug Five High"))
    spellings = make_concept_vectors(["kiss", "hug", "highFive"], word_vectors=file).record["spellings"]
    assert list(spellings.items()) == [("five", "Five"), ("high", "High"), ("kiss", "Kiss")]


@pytest.mark.parametrize("aggregation", ["fisher", "average"])
def test_names_without_a_known_word_are_refused_together(tvhi_file, aggregation):
    names = ["kiss", "wobblyWalk", "hug", "Zzz", "--"]
    with pytest.raises(UsageError) as error:
        make_concept_vectors(names, word_vectors=tvhi_file, aggregation=aggregation)
    assert str(error.value).startswith(
        f"{tvhi_file} knows no word of wobblyWalk (wobbly, walk), Zzz (zzz), -- (no words);"
    )
    assert "\n" not in str(error.value)


def test_classes_that_cannot_be_told_apart_are_recorded(tvhi_file):
    names = ["playingKiss", "hug", "high", "kissingKiss", "highHigh", "kiss", "handShakeFive", "fiveHandShake"]
    made = make_concept_vectors(names, word_vectors=tvhi_file)
    assert made.record["same_vector"] == [["playingKiss", "kissingKiss", "kiss"], ["high", "highHigh"], names[-2:]]


def test_a_corpus_joins_the_vocabulary(word_vectors, write_vectors):
    corpus = [f"w{i}" for i in range(60)]
    file = write_vectors(word_vectors(f"{WORDS} {' '.join(corpus)}", dim=100))
    made = make_concept_vectors(TVHI, word_vectors=file, corpus=[*corpus, "gone", "hug"])
    assert made.vectors.shape == (4, 200)
    assert made.record["fitted_words"] == 66
    others = [make_concept_vectors(TVHI, word_vectors=file, corpus=corpus, seed=seed) for seed in range(5)]
    assert np.array_equal(others[0].vectors, made.vectors)
    assert any(not np.array_equal(other.vectors, made.vectors) for other in others[1:])


@pytest.mark.parametrize("aggregation", ["fisher", "average"])
def test_aggregation_without_word_vectors_is_refused(aggregation):
    with pytest.raises(UsageError, match=f"--aggregation {aggregation} needs word vectors; give --word-vectors"):
        make_concept_vectors(TVHI, aggregation=aggregation)


def test_word_vectors_for_one_hot_are_refused(tvhi_file):
    with pytest.raises(UsageError, match=r"one-hot vectors have no use for .*words"):
        make_concept_vectors(TVHI, word_vectors=tvhi_file, aggregation="onehot")


def test_an_empty_path_is_no_request_for_one_hot():
    with pytest.raises(UsageError, match="a path is empty"):
        make_concept_vectors(TVHI, word_vectors="")


def test_words_that_cancel_out_are_refused(write_vectors):
    up = np.array([0.6, 0.8, 0.0])
    file = write_vectors({"stand": up, "fall": -up, "kiss": np.array([0.0, 0, 1])})
    with pytest.raises(UsageError, match="the words of standFall cancel out by --aggregation average"):
        make_concept_vectors(["standFall", "kiss"], word_vectors=file, aggregation="average")


def test_a_name_that_is_the_whole_vocabulary_is_refused(tvhi_file):
    with pytest.raises(UsageError, match="the words of handShake cancel out by --aggregation fisher"):
        make_concept_vectors(["handShake"], word_vectors=tvhi_file)


def test_a_single_word_is_refused_for_fisher_only(tvhi_file):
    with pytest.raises(UsageError, match=r"words: 1 words whose vectors do not differ.*--aggregation average"):
        make_concept_vectors(["kiss"], word_vectors=tvhi_file)
    assert make_concept_vectors(["kiss"], word_vectors=tvhi_file, aggregation="average").vectors.shape == (1, 20)


@pytest.mark.parametrize(("names", "complaint"), [((), "class list is empty"), (("hug", "hug"), "stand twice: hug")])
def test_class_list_is_checked(names, complaint):
    with pytest.raises(UsageError, match=complaint):
        make_concept_vectors(names)
