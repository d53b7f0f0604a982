"""Which video a list means by a path: one ends with the other.

Lists name videos by their id, their file or a path from any folder; ids are names of files, or paths where these are
not unique (see `attn.video.found`).
"""

import itertools
import math
import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from attn.errors import UsageError, some
from attn.video.names import is_video

Item = TypeVar("Item")


def tell_apart(items: Sequence[Item], name: Callable[[Item, int], str], levels: int) -> list[str]:
    """A name for each item, the shortest that no other shares; of several that share one none keeps it.

    Args:
        items: what is to be named.
        name: gives an item's name of a level; level 0 is the shortest.
        levels: how many there are. After the last one names may still stand twice.
    """
    names = [name(item, 0) for item in items]
    for level in range(1, levels):
        counts = Counter(names)
        names = [one if counts[one] == 1 else name(item, level) for one, item in zip(names, items, strict=True)]
    return names


class KnownIds:
    """The ids of some videos, to be looked up by what a list calls them.

    Args:
        ids: of the videos; a mapping tells where each lies too.
    """

    def __init__(self, ids: Iterable[str] | Mapping[str, str]):
        self._ids = frozenset(ids)
        self._paths = ids if isinstance(ids, Mapping) else {}
        self._in_folders: defaultdict[str, list[str]] = defaultdict(list)
        for video_id in sorted(self._ids):
            if "/" in video_id:
                self._in_folders[posixpath.basename(video_id)].append(video_id)

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._ids

    def find_all(self, paths: Sequence[str], places: Sequence[str]) -> list[str | None]:
        """Ids of the videos that a list names, None for those that are not there.

        Several entries may end alike, `one/clip` and `two/clip`, and the video `clip` be one of them: it is the entry
        that shares most folders with its path. If all share as many, all get its id.

        Raises:
            UsageError: see `find`.
        """
        found = [self.find(path, place) for path, place in zip(paths, places, strict=True)]
        shared = [
            -1 if one is None else math.inf if path == one else _shared(path, self._paths.get(one, one))
            for one, path in zip(found, paths, strict=True)
        ]
        most: dict[str | None, float] = {}
        for one, share in zip(found, shared, strict=True):
            most[one] = max(share, most.get(one, 0))
        return [one if share == most[one] else None for one, share in zip(found, shared, strict=True)]

    def find(self, path: str, place: str) -> str | None:
        """Id of the video; None if none is called so.

        Args:
            path: of its file, or its id.
            place: of the path in its list, for the message.

        Raises:
            UsageError: several are.
        """
        for name in _ends(path):
            if name in self._ids:
                return name
        for name in _spellings(posixpath.normpath(path)):
            longer = [one for one in self._in_folders[posixpath.basename(name)] if one.endswith(f"/{name}")]
            if f"./{name}" in longer:  # a bare name lies in the listed folder itself
                return f"./{name}"
            if len(longer) == 1:
                return longer[0]
            if longer:
                raise UsageError(f"{place}: {path!r} may be any of {some(longer)}. Write which.")
        return None


def _shared(path: str, other: str) -> float:
    """Folders before the file's name in which two paths agree, and a half if they agree in its extension."""
    folders = [posixpath.dirname(one).split("/")[::-1] for one in (path, other)]
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*folders, strict=False))
    return sum(1 for _ in pairs) + (posixpath.basename(path) == posixpath.basename(other)) / 2


def without_extension(path: str) -> str:
    """The path without the extension of a video; as it is if it has none."""
    return posixpath.splitext(path)[0] if is_video(path) else path


def _ends(path: str) -> Iterator[str]:
    """The path and what remains of it without its first folders."""
    parts = path.split("/")
    for start in range(len(parts)):
        yield from _spellings("/".join(parts[start:]))


def _spellings(path: str) -> tuple[str, str]:
    """With and without extension. A bare name may be an id, which holds dots of its own; a path names a file."""
    return (without_extension(path), path) if "/" in path else (path, without_extension(path))
