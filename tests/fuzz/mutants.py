"""Hostile files, each named by a seed and a number: the same bytes for ever, as long as FFmpeg encodes alike."""

import dataclasses
import hashlib
from pathlib import Path
from random import Random

from clips import generated_clips, real_clips
from impostors import IMPOSTORS
from mutations import MUTATIONS
from strange import STRANGE

from attn.video.file_names import VIDEO_SUFFIXES

WRONG_EXTENSION = "wrong_extension"

# Every kind in each round of numbers; damage, of which there is no end, more often than what has few forms.
ROUND = (*MUTATIONS, *STRANGE, *IMPOSTORS, WRONG_EXTENSION, *MUTATIONS, *MUTATIONS)
REAL_EVERY = 3

# Before and behind the number in the name of a file.
NAMES = (
    *[("", "")] * 20,
    ("-", ""),
    ("--out=", ""),
    ("<script>alert(1)<", "script>"),
    ("'; DROP TABLE videos; --", '"'),
    ("first line\n", "\nthird line"),
    ("\x1b[31m", "\x07\x7f"),
    ("", " %s %d {0} {video_id} $HOME `id` "),
    ("[a-z]*?", "\\"),
    ("concat:", "|"),
    ("体操 ", " \u202egnp.\u202c"),
    ("e\u0301", "\ufeff\ufffe"),
    ("", "x" * 230),
    (" ", " "),
    ("=1+1,", ",2"),
)


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A hostile file.

    Attributes:
        kind: how it was made.
        source: of what.
        name: of the file; no other number has it.
    """

    seed: int
    number: int
    kind: str
    source: str
    name: str
    data: bytes

    @property
    def digest(self) -> str:
        """Tells whether another program has the same file."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def tag(self) -> str:
        """The part of the name that no message may lose."""
        return f"m{self.number:06}" if self.number >= 0 else self.name

    def write(self, folder: Path) -> Path:
        """The file, in a folder."""
        path = folder / self.name
        path.write_bytes(self.data)
        return path


def mutant(seed: int, number: int, *, real: bool = False) -> Mutant:
    """The file of that seed and number.

    Args:
        seed: of a whole campaign.
        number: from 0.
        real: every third damaged file was a real clip, where some are present.
    """
    random = Random(f"{seed}/{number}")  # of text, it does not depend on the process
    kind = ROUND[number % len(ROUND)]
    source, suffix, data = _made(random, kind, real and number % REAL_EVERY == 0)
    if random.random() < 0.1:
        suffix = suffix.upper()
    return Mutant(seed, number, kind, source, _name(random, number, suffix), data)


def _made(random: Random, kind: str, real: bool) -> tuple[str, str, bytes]:
    if kind in STRANGE:
        clip = STRANGE[kind](random)
        return clip.name, clip.suffix, clip.data
    if kind in IMPOSTORS:
        return "", random.choice(sorted(VIDEO_SUFFIXES)), IMPOSTORS[kind](random)
    clip = random.choice((real and real_clips()) or generated_clips())
    if kind == WRONG_EXTENSION:
        return clip.name, random.choice(sorted(VIDEO_SUFFIXES - {clip.suffix})), clip.data
    damaged = MUTATIONS[kind](random, clip, generated_clips())
    return clip.name, clip.suffix, damaged if damaged != clip.data else clip.data + b"\0"


def _name(random: Random, number: int, suffix: str) -> str:
    before, behind = random.choice(NAMES)
    return f"{before}m{number:06}{behind}{suffix}"
