"""Words in addition to those of the class names, from a text file."""

import unicodedata

from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.location import Location


def read_corpus(url: str) -> tuple[str, ...]:
    """Words of a text file with one word per line, in lower case, sorted and without duplicates.

    Empty lines are skipped. With more words, the fitted space represents the names better; the price is that it depends
    on the choice of the words.

    Raises:
        UsageError: the file cannot be read, holds no words, or has several words in a line.
    """
    words = set[str]()
    for number, line in enumerate(Location.at(url).read_text().splitlines(), 1):
        found = unicodedata.normalize("NFC", line).lower().split()
        if len(found) > 1:
            raise UsageError(f"--corpus {shown(url)}: line {number} has {len(found)} words. Write one word per line.")
        words.update(found)
    if not words:
        raise UsageError(f"--corpus {shown(url)}: no words found. Write one word per line, or leave it out.")
    return tuple(sorted(words))
