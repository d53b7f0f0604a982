"""From a class name to the words that say what it shows."""

import re
import unicodedata

_LETTERS_OR_DIGITS = re.compile(r"[^\W\d_]+|\d+")

# Names of UCF101 whose parts no vocabulary knows, or knows in another sense. Keys have neither capitals nor gaps, for
# these names reach us in several ways: the class list has HandstandPushups where the files have HandStandPushups.
_EXCEPTIONS = {
    "handstandpushups": ("handstand", "pushups"),
    "pushups": ("pushups",),
    "pullups": ("pullups",),
    "yoyo": ("yoyo",),
    "taichi": ("taichi",),
    "cleanandjerk": ("weight", "lift"),
    "throwdiscus": ("throw", "disc"),
}


def words_of(class_name: str) -> tuple[str, ...]:
    """The words of a class name, lower-case, in order; none where it has neither letters nor digits.

    A word ends where a capital follows a small letter, where letters meet digits, and at whatever is neither; of a
    run of capitals the last begins the next word if a small letter follows it. Stop-words are kept.

        WalkingWithDog → walking, with, dog;  shoot_ball → shoot, ball;  TVShow → tv, show;  Run100m → run, 100, m

    A few names of UCF101 have words of their own, however they are capitalised or divided.

    Source: Li et al. 2017 keeps stop-words ("walking with dog"); the exceptions are those of
    bbrattoli/ZeroShotVideoClassification.
    """
    name = unicodedata.normalize("NFC", class_name)
    runs = _LETTERS_OR_DIGITS.findall(name)
    words = tuple(word.lower() for run in runs for word in _camel_words(run))
    return _EXCEPTIONS.get("".join(words), words)


def _camel_words(run: str) -> list[str]:
    later = [
        i for i in range(1, len(run)) if run[i].isupper() and (run[i - 1].islower() or run[i + 1 : i + 2].islower())
    ]
    return [run[start:end] for start, end in zip([0, *later], [*later, len(run)], strict=True)]
