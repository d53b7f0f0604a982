"""Boxes of the action in the frames of videos: a folder with one file per video, also in folders below.

    <video_id>.json     {"width": 160, "height": 120, "boxes": [[left, top, right, bottom], …], "acting": [first, stop]}
    <video_id>.xgtf     ViPER's format, see `attn.datasets.viper`

JSON has one box per frame, in source pixels; right and bottom are exclusive. With `acting`, only the boxes of the
frames first … stop - 1 count.
"""

import dataclasses
import json
import posixpath
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from attn.datasets import viper
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.listing import list_files
from attn.storage.location import Location

SUFFIXES = (".json", ".xgtf")


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
    """Folder of boxes; files may be in folders below, as UCF-11's are.

    Args:
        url: local path or URL.

    Raises:
        UsageError: the folder has no boxes, or several files of a video.
    """

    def __init__(self, url: str):
        folder = Location.at(url)
        with folder.errors():
            files = [file.path for file in list_files(folder)] if folder.is_folder() else []
        self._urls: dict[str, str] = {}
        for file in sorted(file for file in files if file.endswith(SUFFIXES)):
            video_id, found = posixpath.basename(file).rpartition(".")[0], folder.at_path(file).url
            if (other := self._urls.setdefault(video_id, found)) != found:
                raise UsageError(f"{shown(found)}: boxes of the same video as {shown(other)}. Remove one of them.")
        if not self._urls:
            raise UsageError(f"{shown(url)}: no boxes found. Name the files <video_id>.json or <video_id>.xgtf.")

    def read(self, video_id: str) -> BoxFile | None:
        """Boxes of a video; None if it has no file.

        Raises:
            UsageError: the file is damaged.
        """
        url = self._urls.get(posixpath.basename(video_id))
        if url is None:
            return None
        return _read_json(url) if url.endswith(".json") else BoxFile(viper.read_size(url), viper.read_boxes(url))


def _read_json(url: str) -> BoxFile:
    try:
        found = json.loads(Location.at(url).read_text())
        boxes = np.asarray(found["boxes"], np.float64)
        first, stop = map(int, found.get("acting", (0, len(boxes))))
        shape = int(found["height"]), int(found["width"])
        whole = boxes.ndim == 2 and boxes.shape[1] == 4 and np.isfinite(boxes).all()
        if min(shape) < 1 or not whole or (boxes[:, 2:] < boxes[:, :2]).any():
            raise ValueError("a box or a size that is not valid")
        return BoxFile(shape, {i: boxes[i : i + 1] for i in range(max(first, 0), min(stop, len(boxes)))})
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise UsageError(
            f"{shown(url)}: not a file of boxes ({error}). Write JSON with width, height and boxes."
        ) from error
