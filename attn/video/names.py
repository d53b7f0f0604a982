"""What the name of a file says: whether it is a video, which one, and of which class it may be."""

import posixpath

SHARD_SUFFIX = ".tar"
VIDEO_SUFFIXES = frozenset(
    {".avi", ".mp4", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".m4v", ".wmv", ".flv", ".3gp", ".ts"}
)


def is_video(path: str) -> bool:
    """Whether the extension, in any case, is a video's and the file is not hidden."""
    return _has_suffix(path, VIDEO_SUFFIXES)


def is_shard(path: str) -> bool:
    """Whether it is a tar that is not hidden."""
    return _has_suffix(path, {SHARD_SUFFIX})


def video_id_of(path: str) -> str:
    """The name without its last extension: `a/b.c.avi` → `b.c`.

    Differs: WebDataset cuts at the first dot, which would make `clip.1.avi` and `clip.2.avi` the same video.
    """
    return posixpath.splitext(posixpath.basename(path))[0]


def folder_of(path: str) -> str:
    """Name of the folder a file lies in; empty where the path names none."""
    parent = posixpath.basename(posixpath.dirname(path))
    return "" if parent == "." else parent


def _has_suffix(path: str, suffixes: frozenset[str] | set[str]) -> bool:
    name = posixpath.basename(path)
    return posixpath.splitext(name)[1].lower() in suffixes and not name.startswith(".")
