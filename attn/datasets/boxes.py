"""Boxes of the action in the frames of videos: a folder with one file per video.

    <video_id>.json     {"width": 160, "height": 120, "boxes": [[left, top, right, bottom], …], "acting": [first, stop]}
    <video_id>.xgtf     ViPER's format, see `attn.datasets.viper`

JSON has one box per frame, in source pixels; right and bottom are exclusive. With `acting`, only the boxes of the
frames first … stop - 1 count.
"""

import dataclasses
import json
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from attn.datasets import viper
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import join, open_filesystem, read_text, storage_errors
from attn.storage.listing import names_in


@dataclasses.dataclass(frozen=True)
class BoxFile:
    """Boxes of one video.

    Attributes:
        shape: rows and columns of a source frame.
        boxes: frame index → left, top, right, bottom of each box, in source pixels; edges, as in
            `attn.eval.localisation`. Other frames do not show the action.
    """

    shape: tuple[int, int]
    boxes: Mapping[int, Float[np.ndarray, "box 4"]]


class BoxFolder:
    """Folder of boxes.

    Args:
        url: local path or URL.

    Raises:
        UsageError: the folder has no boxes.
    """

    def __init__(self, url: str):
        self._url = url
        fs, path = open_filesystem(url)
        with storage_errors(url):
            names = names_in(fs, path)
        self._names = {name.rpartition(".")[0]: name for name in names if name.endswith((".json", ".xgtf"))}
        if not self._names:
            raise UsageError(f"{shown(url)}: no boxes found. Name the files <video_id>.json or <video_id>.xgtf.")

    def has(self, video_id: str) -> bool:
        """Return whether a video has a file."""
        return video_id.rpartition("/")[2] in self._names

    def read(self, video_id: str) -> BoxFile | None:
        """Boxes of a video; None if it has no file.

        Raises:
            UsageError: the file is damaged.
        """
        name = self._names.get(video_id.rpartition("/")[2])
        if name is None:
            return None
        url = join(self._url, name)
        return _read_json(url) if name.endswith(".json") else BoxFile(viper.read_size(url), viper.read_boxes(url))


def _read_json(url: str) -> BoxFile:
    try:
        found = json.loads(read_text(*open_filesystem(url)))
        boxes = np.asarray(found["boxes"], np.float64).reshape(-1, 4)
        first, stop = found.get("acting", (0, len(boxes)))
        shape = int(found["height"]), int(found["width"])
        if min(shape) < 1 or not np.isfinite(boxes).all() or (boxes[:, 2:] < boxes[:, :2]).any():
            raise ValueError("a box or a size that is not valid")
        return BoxFile(shape, {i: boxes[i : i + 1] for i in range(max(int(first), 0), min(int(stop), len(boxes)))})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f"{shown(url)}: not a file of boxes ({error}). Write JSON with width, height and boxes."
        ) from error
