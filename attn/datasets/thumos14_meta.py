"""THUMOS14's facts about its videos, in MATLAB files: classes, length, frame rate, background or not.

`test_set_final.mat` has 1574 videos in the struct `test_videos`, `validation_set.mat` 1010 in `validation_videos`.
"""

import io
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.io
from jaxtyping import Bool

from attn.datasets.segments import finite
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import storage_errors
from attn.storage.location import Location

STRUCTS = ("test_videos", "validation_videos")
NUM_CLASSES = 101
_UNREADABLE = (
    *(ValueError, TypeError, IndexError, KeyError, EOFError, OSError, NotImplementedError, MemoryError),
    *(zlib.error, scipy.io.matlab.MatReadError),
)


class VideoFacts(NamedTuple):
    """Facts about one video."""

    video_id: str
    class_ids: frozenset[int]
    """UCF101's ids, from 1, of the primary and the secondary actions; empty for a background video."""
    background: bool
    duration_s: float
    frames_per_s: float


def read_facts(url: str) -> list[VideoFacts]:
    """Facts about the videos of a subset, in file order.

    Raises:
        UsageError: the file is missing, is not a MATLAB file, or lacks the struct or a field.
    """
    with storage_errors(url):
        data = Location.at(url).read_bytes()
    try:
        content = scipy.io.loadmat(io.BytesIO(data), squeeze_me=True, variable_names=STRUCTS)
        records = next(content[name] for name in STRUCTS if name in content)
        return [_facts(record, shown(url)) for record in np.atleast_1d(records)]
    except StopIteration as error:
        raise UsageError(f"{shown(url)}: has no struct {' or '.join(STRUCTS)}. Give THUMOS14's meta file.") from error
    except _UNREADABLE as error:
        raise UsageError(f"{shown(url)}: not THUMOS14's meta file ({error}). Download it again.") from error


def _facts(record: Any, where: str) -> VideoFacts:
    video_id = str(record["video_name"])
    place = f"{where}: video {video_id}"
    background = str(record["background_video"]) == "YES"
    actions = (record[name] for name in ("primary_action_index", "secondary_actions_indices"))
    class_ids = frozenset(int(one) for ids in actions for one in np.atleast_1d(ids))
    return VideoFacts(
        video_id,
        frozenset() if background else class_ids,
        background,
        finite(record["video_duration_seconds"], "duration", place),
        finite(record["frame_rate_FPS"], "frame rate", place),
    )


def recognition_labels(videos: Sequence[VideoFacts], num_classes: int = NUM_CLASSES) -> Bool[np.ndarray, "video cls"]:
    """Mask of the classes of each video for the recognition task; a background video has none.

    Class c of the mask has UCF101's id c + 1.
    """
    labels = np.zeros((len(videos), num_classes), bool)
    for row, video in zip(labels, videos, strict=True):
        row[[number - 1 for number in video.class_ids]] = True
    return labels
