"""Facts that the name of a file tells: whether it is a video, which one, and of which class it may be."""

import posixpath

from attn.storage.left_out import IMAGES, is_plainly_other, suffixes

SHARD_SUFFIX = ".tar"
# Of every format that `attn.video.opening` opens, as FFmpeg, cameras and discs name its files.
VIDEO_SUFFIXES = suffixes(
    "264 265 3g2 3gp 3gpp amv asf avc avi dif divx dv f4v flv h263 h264 h265 hevc ismv ivf m1v m2p m2t m2ts m2v m4v "
    "mj2 mjpeg mjpg mk3d mkv mov mp4 mpe mpeg mpg mpv mts mxf nut obu ogv qt tod trp ts vc1 vob webm wmv xvid"
)
NO_VIDEO_SUFFIXES = IMAGES - {".apng", ".gif"}  # films too are shared as these, which no decoder here opens


def is_video(path: str) -> bool:
    """Whether the extension, in any case, is a video's and the file is not hidden."""
    return _has_suffix(path, VIDEO_SUFFIXES)


def may_be_video(path: str) -> bool:
    """Whether it is not taken for a video, and its name does not say that it is something else."""
    return not (is_video(path) or is_plainly_other(path, NO_VIDEO_SUFFIXES))


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
