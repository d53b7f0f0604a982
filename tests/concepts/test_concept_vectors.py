import itertools
import json

import numpy as np
import pytest

from attn.classes import parse_class_list
from attn.concepts.average import average_word_vector, unit_rows
from attn.concepts.concept_config import ConceptConfig
from attn.concepts.concept_vectors import ConceptVectors, make_concept_vectors
from attn.concepts.fisher import fisher_vector
from attn.concepts.mixture import fit_word_space
from attn.concepts.words import words_of
from attn.errors import UsageError

TVHI = ("handShake", "highFive", "hug", "kiss")
WORDS = "hand shake high five hug kiss"
MORE = [f"w{i}" for i in range(60)]


def made_of(class_names, *, seed: int = 0, **choices) -> ConceptVectors:
    return make_concept_vectors(class_names, ConceptConfig(**choices), seed=seed)


@pytest.fixture
def tvhi_file(word_vectors, write_vectors) -> str:
    return write_vectors(word_vectors(f"the {WORDS}"))


def test_without_word_vectors_classes_are_one_hot():
    made = made_of(TVHI)
    assert made.vectors.dtype == np.float32
    assert made.vectors.tolist() == np.eye(4).tolist()
    assert made.record == {"aggregation": "onehot", "dim": 4}
    assert made_of(TVHI, aggregation="onehot").record == made.record


def test_fisher_vectors_of_tvhi(tvhi_file, word_vectors):
    made = made_of(TVHI, word_vectors=tvhi_file, seed=3)
    assert made.vectors.dtype == np.float32
    assert made.vectors.shape == (4, 2 * 1 * 3)
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, rtol=1e-6)
    sha256 = made.record["sha256"]
    assert len(sha256) == 64
    assert made.record == {
        "aggregation": "fisher",
        "norm": "l2",
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
    made = made_of(TVHI, word_vectors=tvhi_file)
    for name, row in zip(TVHI, made.vectors, strict=True):
        words = np.stack([vectors[word] for word in words_of(name)])
        np.testing.assert_allclose(row, fisher_vector(space.project(words), space.gmm), atol=1e-6)


def test_average_of_tvhi(tvhi_file, word_vectors):
    vectors = word_vectors(f"the {WORDS}")
    made = made_of(TVHI, word_vectors=tvhi_file, aggregation="average")
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
    made = made_of(names, word_vectors=file)
    assert made.vectors.shape == (101, 200)
    assert (made.record["pca_rank"], made.record["mixture_size"]) == (50, 2)
    assert made.record["same_vector"] == []
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, rtol=1e-6)
    again = made_of(names[::-1], word_vectors=file)
    assert np.array_equal(again.vectors[::-1], made.vectors)
    assert made_of(names, word_vectors=file).record == made.record


@pytest.mark.parametrize("aggregation", ["fisher", "average"])
def test_the_order_of_the_words_does_not_show_in_the_last_digit(tvhi_file, aggregation):
    names = ["_".join(words) for words in itertools.permutations(WORDS.split()[:5])]
    made = made_of([*names, "kiss"], word_vectors=tvhi_file, aggregation=aggregation)
    assert made.record["same_vector"] == [names]


@pytest.mark.parametrize("aggregation", ["fisher", "average"])
def test_a_name_is_known_by_its_known_words(tvhi_file, aggregation):
    names = ["handShakeWobble", "wobblyKiss", "HUG"]
    made = made_of(names, word_vectors=tvhi_file, aggregation=aggregation)
    same = made_of(["handShake", "kiss", "hug"], word_vectors=tvhi_file, aggregation=aggregation)
    assert made.record["unknown"] == {"handShakeWobble": ["wobble"], "wobblyKiss": ["wobbly"]}
    assert made.record["words"]["handShakeWobble"] == ["hand", "shake", "wobble"]
    assert np.array_equal(made.vectors, same.vectors)


def test_capitals_of_the_file_are_recorded(word_vectors, write_vectors):
    file = write_vectors(word_vectors("Kiss hug Five High"))
    spellings = made_of(["kiss", "hug", "highFive"], word_vectors=file).record["spellings"]
    assert list(spellings.items()) == [("five", "Five"), ("high", "High"), ("kiss", "Kiss")]


@pytest.mark.parametrize("aggregation", ["fisher", "average"])
def test_names_without_a_known_word_are_refused_together(tvhi_file, aggregation):
    names = ["kiss", "wobblyWalk", "hug", "Zzz", "--"]
    with pytest.raises(UsageError) as error:
        made_of(names, word_vectors=tvhi_file, aggregation=aggregation)
    assert str(error.value).startswith(
        f"{tvhi_file}: no word vectors for wobblyWalk (wobbly, walk), Zzz (zzz), -- (no words)."
    )
    assert "\n" not in str(error.value)


def test_classes_that_cannot_be_told_apart_are_recorded(tvhi_file):
    names = ["playingKiss", "hug", "high", "kissingKiss", "highHigh", "kiss", "handShakeFive", "fiveHandShake"]
    made = made_of(names, word_vectors=tvhi_file)
    assert made.record["same_vector"] == [["playingKiss", "kissingKiss", "kiss"], ["high", "highHigh"], names[-2:]]


@pytest.fixture
def rich_file(word_vectors, write_vectors) -> str:
    """Vectors of the names' words and of 60 more, w0 to w59."""
    return write_vectors(word_vectors(f"{WORDS} {' '.join(MORE)}", dim=100))


@pytest.fixture
def corpus(tmp_path) -> str:
    """Those, a word of a name, and one that has no vector."""
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join([*MORE, "gone", "hug"]))
    return str(path)


def test_a_corpus_joins_the_vocabulary(rich_file, corpus, tmp_path):
    made = made_of(TVHI, word_vectors=rich_file, corpus=corpus)
    assert made.vectors.shape == (4, 200)
    assert made.record["fitted_words"] == 66
    assert {key: made.record[f"corpus_{key}"] for key in ("words", "unknown")} == {"words": 62, "unknown": 1}
    assert made.record["corpus"] == corpus
    (tmp_path / "other.txt").write_text("\n".join(reversed(MORE)))
    others = [made_of(TVHI, word_vectors=rich_file, corpus=str(tmp_path / "other.txt"), seed=seed) for seed in range(5)]
    assert np.array_equal(others[0].vectors, made.vectors)
    assert others[0].record["corpus_sha256"] != made.record["corpus_sha256"]
    assert any(not np.array_equal(other.vectors, made.vectors) for other in others[1:])


def test_a_corpus_of_which_nothing_is_known_is_refused(tvhi_file, corpus, tmp_path):
    path = tmp_path / "strange.txt"
    path.write_text("zzz\nyyy\n")
    with pytest.raises(UsageError, match=r"--corpus .*strange\.txt: .*words contains none of its words\. Give another"):
        made_of(TVHI, word_vectors=tvhi_file, corpus=str(path))


@pytest.mark.parametrize(("dimensions", "gaussians"), [(50, 3), (20, 2), (7, 1), (65, 66)])
def test_dimensions_and_gaussians_are_as_asked_for(rich_file, corpus, dimensions, gaussians):
    choices = {"word_dimensions": dimensions, "gaussians": gaussians}
    made = made_of(TVHI, word_vectors=rich_file, corpus=corpus, **choices)
    assert made.vectors.shape == (4, 2 * gaussians * dimensions)
    assert (made.record["pca_rank"], made.record["mixture_size"]) == (dimensions, gaussians)


def test_with_no_more_words_than_dimensions_the_space_shrinks(rich_file, corpus):
    made = made_of(TVHI, word_vectors=rich_file, corpus=corpus, word_dimensions=66, gaussians=100)
    assert (made.record["pca_rank"], made.record["mixture_size"]) == (33, 1)


def test_more_gaussians_than_words_are_refused(rich_file, corpus):
    with pytest.raises(UsageError, match=r"words: 66 words are too few for 67 Gaussians\. Give fewer --gaussians, or"):
        made_of(TVHI, word_vectors=rich_file, corpus=corpus, gaussians=67)


@pytest.mark.parametrize("aggregation", ["fisher", "average"])
def test_the_norm_is_a_choice(tvhi_file, word_vectors, aggregation):
    unit, raw = (
        made_of(TVHI, word_vectors=tvhi_file, aggregation=aggregation, concept_norm=norm) for norm in ("l2", "none")
    )
    lengths = np.linalg.norm(raw.vectors, axis=1, keepdims=True)
    assert np.abs(lengths - 1).max() > 0.1
    np.testing.assert_allclose(raw.vectors / lengths, unit.vectors, atol=1e-6)
    assert raw.vectors.dtype == np.float32
    assert (unit.record["norm"], raw.record["norm"]) == ("l2", "none")
    vectors = word_vectors(f"the {WORDS}")
    if aggregation == "average":
        hand, shake = (vectors[word] / np.linalg.norm(vectors[word]) for word in ("hand", "shake"))
        np.testing.assert_allclose(raw.vectors[0], (hand + shake) / 2, atol=1e-6)
    else:
        space = fit_word_space(np.stack([vectors[word] for word in sorted(WORDS.split())]), seed=0)
        words = np.stack([vectors[word] for word in words_of("handShake")])
        gradient = fisher_vector(space.project(words), space.gmm, improved=False)
        np.testing.assert_allclose(raw.vectors[0], np.sign(gradient) * np.abs(gradient) ** 0.5, atol=1e-6)


@pytest.mark.parametrize("aggregation", ["fisher", "average"])
def test_aggregation_without_word_vectors_is_refused(aggregation):
    with pytest.raises(UsageError, match=f"--aggregation {aggregation}: needs word vectors. Give --word-vectors"):
        made_of(TVHI, aggregation=aggregation)


def test_word_vectors_for_one_hot_are_refused(tvhi_file):
    with pytest.raises(UsageError, match=r"--word-vectors .*words: --aggregation onehot does not use them"):
        made_of(TVHI, word_vectors=tvhi_file, aggregation="onehot")


def test_an_empty_path_is_no_request_for_one_hot():
    with pytest.raises(UsageError, match="a path is empty"):
        made_of(TVHI, word_vectors="")


def test_words_that_cancel_out_are_refused(write_vectors):
    up = np.array([0.6, 0.8, 0.0])
    file = write_vectors({"stand": up, "fall": -up, "kiss": np.array([0.0, 0, 1])})
    with pytest.raises(UsageError, match="--aggregation average: the words of standFall cancel out"):
        made_of(["standFall", "kiss"], word_vectors=file, aggregation="average")


def test_a_name_that_is_the_whole_vocabulary_is_refused(tvhi_file):
    with pytest.raises(UsageError, match="--aggregation fisher: the words of handShake cancel out"):
        made_of(["handShake"], word_vectors=tvhi_file)


def test_a_single_word_is_refused_for_fisher_only(tvhi_file):
    with pytest.raises(UsageError, match=r"words: no two different vectors among 1 words\. Give --aggregation average"):
        made_of(["kiss"], word_vectors=tvhi_file)
    assert made_of(["kiss"], word_vectors=tvhi_file, aggregation="average").vectors.shape == (1, 20)


@pytest.mark.parametrize(("names", "complaint"), [((), "class list is empty"), (("hug", "hug"), "appear twice: hug")])
def test_class_list_is_checked(names, complaint):
    with pytest.raises(UsageError, match=complaint):
        made_of(names)
