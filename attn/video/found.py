"""Listed videos and their IDs.

An ID is the file name without its extension. Cameras number their files, so several videos may share a name. Their IDs
are then their paths below the listed folder, `tennis/clip` and `boxing/clip`; `./clip` is in the listed folder itself.
"""

import dataclasses
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from attn.errors import UsageError, some
from attn.storage.error_messages import shown
from attn.video.file_names import folder_of, video_id_of
from attn.video.ids import tell_apart

MOST_NAMES = 4


@dataclasses.dataclass(frozen=True)
class Video:
    """One video: a whole file, or a member of a tar.

    Attributes:
        video_id: file name without its extension, or path if the name is not unique; unique in a run.
        url: URL of the file or tar.
        label: class ID, None if unknown.
        offset: offset of the first byte in the tar; None for a whole file.
        size: size in bytes; for a whole file, the size when it was listed, None if the listing did not report it.
        member: name in the tar; None for a whole file.
    """

    video_id: str
    url: str
    label: int | None
    offset: int | None
    size: int | None
    member: str | None = None

    @property
    def name(self) -> str:
        """Name of the video file, with its extension."""
        return posixpath.basename(self.member or self.url)

    @property
    def where(self) -> str:
        """Location of the video for messages."""
        return shown(self.url) if self.member is None else f"{shown(self.url)}: {self.member}"


def paths_of(videos: Iterable[Video]) -> dict[str, str]:
    """Return the path or URL of each video by its ID, as `attn.video.ids.KnownIds` takes them."""
    return {video.video_id: video.member or video.url for video in videos}


class Found(NamedTuple):
    """Listed video with its path and its stored label.

    Attributes:
        video: the video.
        path: path below the listed folder; for a member, its name in the tar.
        shard: path of the tar below the listed folder, without its extension; empty for a whole file.
        stored: label stored with the video in the tar.
    """

    video: Video
    path: str
    shard: str = ""
    stored: str | None = None

    @property
    def folder(self) -> str:
        """Name of the parent folder, which may be a class name; empty if the path has no folder."""
        return folder_of(self.path if self.video.member is not None else self.video.url)

    @property
    def names(self) -> list[str]:
        """Candidates for the video's ID, shortest first, at most `MOST_NAMES`."""
        path = posixpath.normpath(self.path)
        folder, stem = posixpath.dirname(path) or ".", video_id_of(path)
        shards = [posixpath.join(self.shard, posixpath.normpath(f"{folder}/{stem}"))] if self.shard else []
        return [stem, f"{folder}/{stem}", f"{folder}/{posixpath.basename(path)}", *shards]


def name_videos(found: Iterable[Found]) -> list[Found]:
    """Return the videos sorted by ID. Each ID is the shortest candidate that no other video shares.

    If several videos share a name, none of them gets it: otherwise its video would depend on the rest of the list.

    Raises:
        UsageError: IDs are still duplicates, a video is both in a tar and beside it, or a path is not UTF-8.
    """
    videos = list(found)
    if broken := [one.video for one in videos if re.search("[\ud800-\udfff]", one.video.where)]:
        raise UsageError(
            f"{len(broken)} paths are not UTF-8: {some(ascii(video.where) for video in broken)}. Rename them."
        )
    _check_copies(videos)
    ids = tell_apart(videos, _name, MOST_NAMES)
    videos = [_called(one, name) for one, name in zip(videos, ids, strict=True)]
    _check_unique([one.video for one in videos])
    return sorted(videos, key=lambda one: one.video.video_id)


def keep_names(found: Sequence[Found], held: Collection[str], where: str) -> list[Found]:
    """Give videos that a store already contains their IDs from the store; the others keep their IDs.

    A path in the store remains an ID even if the file name is now unique because other videos were removed.

    Args:
        found: videos as returned by `name_videos`.
        held: IDs in the store.
        where: URL of the store, for messages.

    Raises:
        UsageError: several videos now share a name that is an ID in the store, so it is unclear which one is stored.
    """
    kept: list[Found] = []
    unclear: defaultdict[str, list[str]] = defaultdict(list)
    known = frozenset(held)
    for one in found:
        video_id = one.video.video_id
        if known and video_id not in known:
            names = one.names
            place = names.index(video_id)
            longer = [name for name in names[place + 1 :] if name in known]
            for shorter in known.intersection(names[:place]):
                unclear[shorter].append(one.video.where)
            kept.append(_called(one, longer[0]) if longer else one)
        else:
            kept.append(one)
    for name, places in unclear.items():
        raise UsageError(
            f"{shown(where)}: contains a video {name!r}, but several videos now have this name: {some(places)}. Rename "
            "the added videos, or use another store."
        )
    return sorted(kept, key=lambda one: one.video.video_id)


def _name(one: Found, level: int) -> str:
    return one.names[min(level, len(one.names) - 1)] if level else one.video.video_id


def _called(one: Found, video_id: str) -> Found:
    if video_id == one.video.video_id:
        return one
    return one._replace(video=dataclasses.replace(one.video, video_id=video_id))


def _check_copies(videos: Iterable[Found]) -> None:
    """Refuse a folder with shards beside the videos they were made from, because each video would count twice."""
    alike: defaultdict[tuple[str, int | None], list[Found]] = defaultdict(list)
    for one in videos:
        alike[one.video.name, one.video.size].append(one)
    copies = {
        one.video.where: other.video.where
        for group in alike.values()
        if len(group) > 1
        for one in group
        for other in group
        if one.shard and one is not other and f"/{other.path}".endswith(f"/{posixpath.normpath(one.path)}")
    }
    if copies:
        pairs = (f"{other} and {one}" for one, other in copies.items())
        raise UsageError(f"{len(copies)} videos in tars are duplicates: {some(pairs)}. Choose one copy with a glob.")


def _check_unique(videos: Sequence[Video]) -> None:
    counts = Counter(video.video_id for video in videos)
    if repeated := [video_id for video_id, count in counts.items() if count > 1]:
        places = some(video.where for video in videos if video.video_id == repeated[0])
        raise UsageError(
            f"{len(repeated)} duplicate video IDs: {some(repeated)} ({repeated[0]}: {places}). "
            "Rename files, or choose fewer with a glob."
        )
