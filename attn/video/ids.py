"""Lookup of videos by the names in a list. A name matches an ID if one ends with the other.

Lists name videos by ID, by file name or by a path from any folder. IDs are file names, or paths if these are not unique
(see `attn.video.found`).
"""

import itertools
import math
import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from attn.errors import UsageError, some
from attn.video.file_names import is_video

Item = TypeVar("Item")


def tell_apart(items: Sequence[Item], name: Callable[[Item, int], str], levels: int) -> list[str]:
    """Return for each item the shortest name that no other item shares. A shared name is given to none of them.

    Args:
        items: items to name.
        name: returns the name of an item at a level; level 0 is the shortest.
        levels: number of levels. Names of the last level may still be duplicates.
    """
    names = [name(item, 0) for item in items]
    for level in range(1, levels):
        counts = Counter(names)
        names = [one if counts[one] == 1 else name(item, level) for one, item in zip(names, items, strict=True)]
    return names


class KnownIds:
    """IDs of videos, looked up by the names in a list.

    Args:
        ids: IDs of the videos, or a mapping from IDs to paths.
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
        """Return the ID of the video for each entry of a list, None if the video is unknown.

        Several entries, such as `one/clip` and `two/clip`, may match the video `clip`. The ID is then given to the
        entry that shares the most folders with the video's path, or to all of them if they share equally many.

        Args:
            paths: path or ID in each entry.
            places: location of each entry, for messages.

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
        """Return the ID of a video, None if no video has this name.

        Args:
            path: path of the video's file, or its ID.
            place: location of the entry in its list, for the message.

        Raises:
            UsageError: several videos have this name.
        """
        for name in _ends(path):
            if name in self._ids:
                return name
        for name in _spellings(posixpath.normpath(path)):
            longer = [one for one in self._in_folders[posixpath.basename(name)] if one.endswith(f"/{name}")]
            if f"./{name}" in longer:  # a name without a folder means the listed folder itself
                return f"./{name}"
            if len(longer) == 1:
                return longer[0]
            if longer:
                raise UsageError(f"{place}: {path!r} matches {some(longer)}. Use one of these IDs.")
        return None


def _shared(path: str, other: str) -> float:
    """Count the folders before the file name that two paths share, plus 0.5 if the file names are equal."""
    folders = [posixpath.dirname(one).split("/")[::-1] for one in (path, other)]
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*folders, strict=False))
    return sum(1 for _ in pairs) + (posixpath.basename(path) == posixpath.basename(other)) / 2


def without_extension(path: str) -> str:
    """Return the path without the extension of a video; without such an extension, it is unchanged."""
    return posixpath.splitext(path)[0] if is_video(path) else path


def _ends(path: str) -> Iterator[str]:
    """Yield the path, then the path without its first folder, its first two folders, and so on."""
    parts = path.split("/")
    for start in range(len(parts)):
        yield from _spellings("/".join(parts[start:]))


def _spellings(path: str) -> tuple[str, str]:
    """Return the path with and without its extension, the likelier form first.

    A name without a folder is likely an ID, which may contain dots; a path is likely that of a file.
    """
    return (without_extension(path), path) if "/" in path else (path, without_extension(path))
