"""Videos as a listing finds them, and what each of them is called.

An id is the file's name without its extension. Cameras number their files, so several may have one name: each of these
is then called by its path below the listed folder, `tennis/clip` and `boxing/clip`; `./clip` lies in the folder itself.
"""

import dataclasses
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from attn.errors import UsageError, some
from attn.storage.reasons import shown
from attn.video.ids import tell_apart
from attn.video.names import folder_of, video_id_of

MOST_NAMES = 4


@dataclasses.dataclass(frozen=True)
class Video:
    """One video: a whole file, or a member of a tar.

    Attributes:
        video_id: name of the file without its extension, or its path where that is not unique; unique in a run.
        url: of the file, or of the tar.
        label: class id, None where unknown.
        offset: first byte inside the tar; None for a whole file.
        size: bytes; of a whole file only as it was when it was listed, None where the listing did not tell.
        member: name inside the tar; None for a whole file.
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
        """How messages call it."""
        return shown(self.url) if self.member is None else f"{shown(self.url)}: {self.member}"


def paths_of(videos: Iterable[Video]) -> dict[str, str]:
    """Where the videos lie, by their ids: what `attn.video.ids` tells names in lists by."""
    return {video.video_id: video.member or video.url for video in videos}


class Found(NamedTuple):
    """A video that was found, where, and what came with it.

    Attributes:
        path: below the listed folder; of a member, its name in the tar.
        shard: path of its tar below the listed folder, without extension; empty for a whole file.
        stored: label that came with it in the tar.
    """

    video: Video
    path: str
    shard: str = ""
    stored: str | None = None

    @property
    def folder(self) -> str:
        """Name of the folder it lies in, which may be that of its class; empty where the path names none."""
        return folder_of(self.path if self.video.member is not None else self.video.url)

    @property
    def names(self) -> list[str]:
        """Names that it may have, the shortest first: `MOST_NAMES` at most."""
        path = posixpath.normpath(self.path)
        folder, stem = posixpath.dirname(path) or ".", video_id_of(path)
        shards = [posixpath.join(self.shard, posixpath.normpath(f"{folder}/{stem}"))] if self.shard else []
        return [stem, f"{folder}/{stem}", f"{folder}/{posixpath.basename(path)}", *shards]


def name_videos(found: Iterable[Found]) -> list[Found]:
    """The videos with ids, sorted by them: each has the shortest of its names that no other video shares.

    Of several that share a name none keeps it: whose it is would depend on the others.

    Raises:
        UsageError: an id twice in spite of that, a video both in a tar and beside it, or a name that is no text.
    """
    videos = list(found)
    if broken := [one.video for one in videos if re.search("[\ud800-\udfff]", one.video.where)]:
        raise UsageError(
            f"{len(broken)} paths are not UTF-8: {some(ascii(video.where) for video in broken)}; rename them"
        )
    _check_copies(videos)
    ids = tell_apart(videos, _name, MOST_NAMES)
    videos = [_called(one, name) for one, name in zip(videos, ids, strict=True)]
    _check_unique([one.video for one in videos])
    return sorted(videos, key=lambda one: one.video.video_id)


def keep_names(found: Sequence[Found], held: Collection[str], where: str) -> list[Found]:
    """The videos under the ids by which a store holds them already; the others keep theirs.

    A name that has become unique, because the other videos went, stays as it is in the store.

    Args:
        found: as `name_videos` gives them.
        held: ids in the store.
        where: URL of the store, for messages.

    Raises:
        UsageError: several videos share by now a name that the store holds, and it does not say whose that was.
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
            f"{shown(where)}: holds a video {name!r}, and by now several are called so: {some(places)}. Rename what "
            "was added, or choose another folder."
        )
    return sorted(kept, key=lambda one: one.video.video_id)


def _name(one: Found, level: int) -> str:
    return one.names[min(level, len(one.names) - 1)] if level else one.video.video_id


def _called(one: Found, video_id: str) -> Found:
    if video_id == one.video.video_id:
        return one
    return one._replace(video=dataclasses.replace(one.video, video_id=video_id))


def _check_copies(videos: Iterable[Found]) -> None:
    """Refuses a folder in which shards lie beside the videos they were made of: each would count twice."""
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
        raise UsageError(f"{len(copies)} videos stand there twice, in tars: {some(pairs)}; choose one with a glob")


def _check_unique(videos: Sequence[Video]) -> None:
    counts = Counter(video.video_id for video in videos)
    if repeated := [video_id for video_id, count in counts.items() if count > 1]:
        places = some(video.where for video in videos if video.video_id == repeated[0])
        raise UsageError(
            f"{len(repeated)} video ids stand more than once: {some(repeated)} ({repeated[0]}: {places}); "
            "rename, or choose fewer files with a glob"
        )
