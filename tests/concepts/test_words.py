import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn.classes import parse_class_list
from attn.concepts.words import words_of


def slow_words(name: str) -> list[str]:
    """One character at a time: does a word end before it?"""
    words = [""]
    for i, char in enumerate(name):
        before, after = name[i - 1 : i] if i else "", name[i + 1 : i + 2]
        camel = char.isupper() and before.isalpha() and (before.islower() or after.islower())
        if camel or (before and before.isdigit() != char.isdigit()):
            words.append("")
        if char.isalnum():
            words[-1] += char.lower()
        elif words[-1]:
            words.append("")
    return [word for word in words if word]


@given(st.text("aBcDz09_- ", max_size=12))
def test_equals_a_slow_reading(name):
    assert list(words_of(name)) == slow_words(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("handShake", "hand shake"),
        ("highFive", "high five"),
        ("hug", "hug"),
        ("kiss", "kiss"),
        ("WalkingWithDog", "walking with dog"),
        ("WritingOnBoard", "writing on board"),
        ("shoot_ball", "shoot ball"),
        ("draw_sword", "draw sword"),
        ("apply_eye_makeup", "apply eye makeup"),
        ("Apply-Eye Makeup", "apply eye makeup"),
        ("playing__cello_", "playing cello"),
        ("TVShow", "tv show"),
        ("PlayingDJ", "playing dj"),
        ("HTML", "html"),
        ("Run100m", "run 100 m"),
        ("class_3", "class 3"),
        ("EinenApfelEssen", "einen apfel essen"),
        ("ÜberDenÄrmelkanal", "über den ärmelkanal"),
        ("U\u0308berGehen", "über gehen"),
        ("握手", "握手"),
    ],
)
def test_splits_a_name(name, words):
    assert words_of(name) == tuple(words.split())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("HandstandPushups", "handstand pushups"),
        ("HandStandPushups", "handstand pushups"),
        ("handstand_pushups", "handstand pushups"),
        ("PushUps", "pushups"),
        ("push_ups", "pushups"),
        ("PullUps", "pullups"),
        ("YoYo", "yoyo"),
        ("TaiChi", "taichi"),
        ("tai chi", "taichi"),
        ("CleanAndJerk", "weight lift"),
        ("ThrowDiscus", "throw disc"),
    ],
)
def test_exceptions_hold_however_the_name_is_written(name, words):
    assert words_of(name) == tuple(words.split())


def test_an_exception_is_for_the_whole_name():
    assert words_of("WallPushUps") == ("wall", "push", "ups")


@pytest.mark.parametrize("name", ["", "_", "--- .", "!?"])
def test_a_name_may_have_no_words(name):
    assert words_of(name) == ()


def test_words_of_ucf101(real_data):
    path = real_data / "ucf101" / "ucfTrainTestlist" / "classInd.txt"
    names = parse_class_list(path.read_text().splitlines(), where=str(path))
    words = {word for name in names for word in words_of(name)}
    assert len(names) == 101
    assert all(words_of(name) for name in names)
    assert len(words) > 50  # as many as the whole mixture needs
    assert {"with", "and", "on"} & words == {"with", "on"}  # the only "and" is in CleanAndJerk
