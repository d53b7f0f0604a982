"""Words beside those of the class names, from a text file."""

import unicodedata

from attn.errors import UsageError
from attn.storage.filesystem import open_filesystem, read_text
from attn.storage.reasons import shown


def read_corpus(url: str) -> tuple[str, ...]:
    """The words of a text file with one per line, in small letters, each once, sorted. Empty lines say nothing.

    More words make a space in which those of the names lie truer; the price is that what lies where depends on the
    choice of the words.

    Raises:
        UsageError: it cannot be read, holds no word, or a line holds several.
    """
    words = set[str]()
    for number, line in enumerate(read_text(*open_filesystem(url)).splitlines(), 1):
        found = unicodedata.normalize("NFC", line).lower().split()
        if len(found) > 1:
            raise UsageError(f"--corpus {shown(url)}: line {number} holds {len(found)} words; write one per line")
        words.update(found)
    if not words:
        raise UsageError(f"--corpus {shown(url)} holds no word; write one per line, or leave it away")
    return tuple(sorted(words))
