"""Files that a listing left out, and which of them to report.

A folder of videos may hold annotations, pictures and sound files, which are left out silently. A file that may be a
video under an unknown extension is reported, so that its absence does not go unnoticed.
"""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

NAMED = 5


def suffixes(names: str) -> frozenset[str]:
    """`"jpg png"` → `{".jpg", ".png"}`."""
    return frozenset(f".{name}" for name in names.split())


IMAGES = suffixes(
    "apng avif bmp gif ico j2c j2k jfi jfif jif jp2 jpc jpe jpeg jpf jpg jpx pbm pgm pjp pjpeg png pnm ppm tif "
    "tiff webp"
)
"""Suffixes of image files that can be read."""
SOUND = suffixes("aac ac3 aif aiff amr flac m4a m4b mid midi mka mp2 mp3 oga opus wav wma")
TEXTS = suffixes(
    "ass bib cfg cfm conf csv css diff doc docx eaf gpx htm html ini ipynb json jsonl js log m md md5 nfo ods odt pdf "
    "ppt pptx properties ps py rst rtf sbv sh sha1 sha256 sha512 sql srt ssa sub tex textgrid toml tsv ttml txt url "
    "vtt xgtf xls xlsx xml xmp yaml yml"
)
DATA = suffixes(
    "aae arrow bdm bup bvh c3d ckpt class cls cpi db feather h5 hdf5 idx ifo index label lock lst mat mks mpl npy npz "
    "onnx parquet pickle pkl ply pt pth pyc safetensors sqlite thm trc"
)
PLAIN_NAMES = suffixes(
    "authors changelog changes checksums citation contributing copying dockerfile history license licence makefile "
    "manifest md5sums notice readme sha1sums sha256sums todo version _success"
)
_COMPRESSED = suffixes("bz2 gz lz4 xz zst")


class LeftOut(NamedTuple):
    """Files that were left out although they may be of the wanted kind.

    Attributes:
        kinds: extension → number of files, the most frequent first.
        first: names of the first few files.
    """

    kinds: dict[str, int]
    first: tuple[str, ...]

    @property
    def files(self) -> int:
        """Number of files."""
        return sum(self.kinds.values())

    def told(self, what: str) -> str:
        """One line for a log: `3 files left out that may be videos: 2 .gif, 1 .rm (a.gif, b.gif, c.rm)`."""
        kinds = [f"{count} {kind}" for kind, count in self.kinds.items()]
        more = [f"{sum(list(self.kinds.values())[NAMED:])} others"] if len(kinds) > NAMED else []
        names = ", ".join(self.first) + (", …" if self.files > len(self.first) else "")
        number = "1 file" if self.files == 1 else f"{self.files} files"
        return f"{number} left out that may be {what}: {', '.join(kinds[:NAMED] + more)} ({names})"

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> "LeftOut":
        """Inverse of `record`; malformed values are ignored, because any program may have written the file."""
        kinds, first = record.get("kinds"), record.get("first")
        counts = (
            {str(kind): count for kind, count in kinds.items() if type(count) is int} if isinstance(kinds, dict) else {}
        )
        return cls(counts, tuple(map(str, first)) if isinstance(first, list) else ())

    @property
    def record(self) -> dict[str, Any]:
        """Counts and names, in JSON types."""
        return {"files": self.files, "kinds": self.kinds, "first": list(self.first)}


NOTHING = LeftOut({}, ())


def left_out(paths: Iterable[str], other: frozenset[str]) -> LeftOut:
    """Files that may be of the wanted kind, judged by their names.

    Args:
        paths: paths of all files that were left out.
        other: extensions of other kinds of files, see `is_plainly_other`.
    """
    maybe = sorted(path for path in paths if not is_plainly_other(path, other))
    kinds = Counter(_kind(posixpath.basename(path).lower()) for path in maybe)
    return LeftOut(dict(kinds.most_common()), tuple(maybe[:NAMED]))


def is_plainly_other(path: str, other: frozenset[str]) -> bool:
    """Whether a file is hidden, or clearly of another kind by its name.

    Args:
        path: path of the file.
        other: extensions of other kinds, in addition to text, data and sound.
    """
    name = posixpath.basename(path).lower()
    stem, suffix = posixpath.splitext(name)
    if suffix in _COMPRESSED:
        suffix = posixpath.splitext(stem)[1]
    return (
        any(suffix in kind for kind in (other, SOUND, TEXTS, DATA)) or name.startswith(".") or f".{name}" in PLAIN_NAMES
    )


def _kind(name: str) -> str:
    found = re.search(r"(\.tar)?\.\w{1,12}(?=[^.\s]*$)", name)
    return found[0] if found else "without extension"
