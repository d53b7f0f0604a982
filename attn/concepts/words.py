"""Words of a class name, which describe what the class shows."""

import re
import unicodedata

_LETTERS_OR_DIGITS = re.compile(r"[^\W\d_]+|\d+")

# Names of UCF101 whose parts are missing from vocabularies, or have another sense there. Keys have neither capitals nor
# separators, because the names come in several forms: HandstandPushups in the class list, HandStandPushups in files.
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
    """Words of a class name, in lower case and in order; empty if it has neither letters nor digits.

    A word ends before a capital that follows a lower-case letter, between letters and digits, and at any other
    character. The last capital of a run starts the next word if a lower-case letter follows. Stop words are included.

        WalkingWithDog → walking, with, dog;  shoot_ball → shoot, ball;  TVShow → tv, show;  Run100m → run, 100, m

    A few names of UCF101 have fixed words, however they are capitalised or divided.

    Source: Li et al. 2017 includes stop words ("walking with dog"); the exceptions are those of
    bbrattoli/ZeroShotVideoClassification.
    """
    words = divided(class_name)
    return _EXCEPTIONS.get("".join(words), words)


def divided(class_name: str) -> tuple[str, ...]:
    """Words of a class name without the exceptions of `words_of`, as a text encoder reads them."""
    runs = _LETTERS_OR_DIGITS.findall(unicodedata.normalize("NFC", class_name))
    return tuple(word.lower() for run in runs for word in _camel_words(run))


def name_as_word(class_name: str) -> str:
    """Class name as one word of a file of word vectors: white space becomes an underscore."""
    return "_".join(class_name.split())


def _camel_words(run: str) -> list[str]:
    later = [
        i for i in range(1, len(run)) if run[i].isupper() and (run[i - 1].islower() or run[i + 1 : i + 2].islower())
    ]
    return [run[start:end] for start, end in zip([0, *later], [*later, len(run)], strict=True)]
