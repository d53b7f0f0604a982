"""Facts derived from a file name: whether the file is a video or shard, its ID, and its possible class."""

import posixpath

from attn.storage.left_out import IMAGES, is_plainly_other, suffixes

SHARD_SUFFIX = ".tar"
# Extensions that FFmpeg, cameras and discs use for the formats that `attn.video.opening` opens.
VIDEO_SUFFIXES = suffixes(
    "264 265 3g2 3gp 3gpp amv asf avc avi dif divx dv f4v flv h263 h264 h265 hevc ismv ivf m1v m2p m2t m2ts m2v m4v "
    "mj2 mjpeg mjpg mk3d mkv mov mp4 mpe mpeg mpg mpv mts mxf nut obu ogv qt tod trp ts vc1 vob webm wmv xvid"
)
NO_VIDEO_SUFFIXES = IMAGES - {".apng", ".gif"}  # videos are shared in these formats too, but cannot be decoded here


def is_video(path: str) -> bool:
    """Return whether the file has the extension of a video, in upper or lower case, and is not hidden."""
    return _has_suffix(path, VIDEO_SUFFIXES)


def may_be_video(path: str) -> bool:
    """Return whether the file is not recognised as a video, but its name does not exclude it."""
    return not (is_video(path) or is_plainly_other(path, NO_VIDEO_SUFFIXES))


def is_shard(path: str) -> bool:
    """Return whether the file is a tar that is not hidden."""
    return _has_suffix(path, {SHARD_SUFFIX})


def video_id_of(path: str) -> str:
    """Return the file name without its last extension: `a/b.c.avi` → `b.c`.

    Differs: WebDataset cuts at the first dot, which would make `clip.1.avi` and `clip.2.avi` the same video.
    """
    return posixpath.splitext(posixpath.basename(path))[0]


def folder_of(path: str) -> str:
    """Return the name of a file's folder; it is empty if the path has no folder."""
    parent = posixpath.basename(posixpath.dirname(path))
    return "" if parent == "." else parent


def _has_suffix(path: str, suffixes: frozenset[str] | set[str]) -> bool:
    name = posixpath.basename(path)
    return posixpath.splitext(name)[1].lower() in suffixes and not name.startswith(".")
