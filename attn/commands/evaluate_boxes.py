"""Attention of models compared with boxes of the action, for `--boxes` of evaluate."""

import csv
import io
import logging
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from attn.datasets.boxes import BoxFolder
from attn.errors import UsageError, some
from attn.eval.localisation import attention_share, box_coverage, compared, map_box, mean_localisation
from attn.eval.pointing import IOU, find
from attn.storage.error_messages import shown
from attn.storage.location import Location
from attn.storage.manifest import ClipManifest, Manifest
from attn.storage.store import VideoRows
from attn.video.transform import Resampling

log = logging.getLogger(__name__)

NAME = "localisation.csv"
COLUMNS = (
    *("method", "video_id", "num_frames", "num_left_out", "share", "chance", "ratio"),
    *("pointing", "precision", "uniform_precision", "pixel_precision"),
)

PLACES = ("pointing", "overlap", "pixel_precision")
"""Figures of a frame, see `attn.eval.pointing.Found`."""


class FrameFigures(NamedTuple):
    """Figures of the frames of one video by one map.

    Attributes:
        share: share of the attention inside the boxes.
        chance: share of a uniform map.
        places: figures of `PLACES`, one row per frame; NaN for frames that are not compared.
    """

    share: Float[np.ndarray, "frame"]
    chance: Float[np.ndarray, "frame"]
    places: Float[np.ndarray, "frame figure"]

    def means(self) -> dict[str, float]:
        """Means over the frames, as in `metrics.json`."""
        counts = compared(self.share, self.chance)
        pointing, overlap, pixels = self.places[counts].T if counts.any() else np.full((len(PLACES), 1), np.nan)
        return {
            **mean_localisation(self.share, self.chance)._asdict(),
            "pointing": float(pointing.mean()),
            "precision": _share_right(overlap),
            # The region of a uniform map is all that the network sees, and its overlap the covered part.
            "uniform_precision": _share_right(self.chance[counts]) if counts.any() else np.nan,
            "pixel_precision": float(pixels.mean()),
        }


def _share_right(overlap: Float[np.ndarray, "frame"]) -> float:
    return float(np.where(np.isnan(overlap), np.nan, overlap >= IOU).mean())


class BoxShares:
    """Attention of models inside the boxes of the tested videos.

    Args:
        url: URL of the folder of boxes.
        video_ids: tested videos.
        manifest: manifest of the store of the grids.
        threshold: share of a map's maximum from which a pixel belongs to its region.

    Raises:
        UsageError: no tested video has boxes, a file is damaged, or the part of a frame that the CNN has seen is
            unknown.
    """

    def __init__(self, url: str, video_ids: Collection[str], manifest: Manifest, *, threshold: float = 0.5):
        self._url, folder, self._resampling = url, BoxFolder(url), Resampling.parse(manifest.preprocessing)
        if str(self._resampling) != manifest.preprocessing:
            raise UsageError(
                f"--boxes {shown(url)}: the part of a frame that the CNN of the store has seen is unknown (its "
                f"preprocessing is {manifest.preprocessing!r}). Leave out --boxes."
            )
        read = {video_id: folder.read(video_id) for video_id in sorted(video_ids)}
        self._tracks = {video_id: track for video_id, track in read.items() if track is not None}
        if not self._tracks:
            raise UsageError(f"--boxes {shown(url)}: no boxes of {some(sorted(video_ids))}. Check the names.")
        self._clip = manifest.clip if isinstance(manifest, ClipManifest) else None
        self._size, self._threshold = manifest.input_size, threshold
        self._without = len(read) - len(self._tracks)
        self._found: dict[str, dict[str, FrameFigures]] = {}

    def add(self, method: str, rows: VideoRows, weights: Float[np.ndarray, "frame row col"]) -> None:
        """Add the frames of a video that have boxes; frames that the model has not seen have NaN weights."""
        track = self._tracks.get(rows.video_id)
        if track is None:
            return
        frames, seen = rows.frame.tolist(), np.isfinite(weights).all((1, 2))
        chosen = [int(i) for i in np.flatnonzero(seen) if len(track.boxes.get(frames[i], ()))]
        height, width = track.shape
        where = {
            "source_shape": track.shape,
            "map_shape": weights.shape[1:],
            "seen": self._seen(width, height),
        }
        if not chosen:
            return
        # Boxes that overlap within a cell count as the larger one.
        coverage = np.stack([box_coverage(track.boxes[frames[i]], **where).max(axis=0) for i in chosen])
        share = attention_share(weights[chosen], coverage)
        chance = coverage.mean(axis=(-2, -1), dtype=np.float64)
        places = np.full((len(chosen), len(PLACES)), np.nan)
        for row in np.flatnonzero(compared(share, chance)):
            boxes = map_box(track.boxes[frames[chosen[row]]], **where)
            places[row] = find(weights[chosen[row]], boxes, pixels=self._pixels, threshold=self._threshold)
        self._found.setdefault(method, {})[rows.video_id] = FrameFigures(share, chance, places)

    @property
    def _pixels(self) -> int:
        """Side of the part of a frame that the maps cover, in pixels of the network."""
        return self._size if self._clip is None else self._clip["crop"]

    def _seen(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Part of a frame that the maps cover: the CNN's input, or the window of a clip."""
        left, top, right, bottom = self._resampling.box(width, height)
        if self._clip is None:
            return left, top, right, bottom
        side, margin = self._size, (self._size - self._clip["crop"]) // 2
        across, down = (right - left) / side, (bottom - top) / side
        end = margin + self._clip["crop"]
        return left + across * margin, top + down * margin, left + across * end, top + down * end

    def figures(self) -> dict[str, Any]:
        """Figures of each map, as JSON types, see `attn.eval.localisation.Localisation` and `attn.eval.pointing`."""
        if not self._found:
            log.warning("--boxes %s: no frame of the store has a box, so nothing was compared", shown(self._url))
        methods = {}
        for method, videos in self._found.items():
            means = FrameFigures(*map(np.concatenate, zip(*videos.values(), strict=True))).means()
            methods[method] = {name: None if np.isnan(value) else value for name, value in means.items()}
        return {"url": self._url, "videos_without_boxes": self._without, "methods": methods}

    def file(self) -> bytes:
        """Content of `localisation.csv`: the same figures for each method and video, empty if undefined."""
        text = io.StringIO()
        lines = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        lines.writeheader()
        for method, videos in self._found.items():
            for video_id, figures in sorted(videos.items()):
                means = {name: "" if np.isnan(value) else f"{value:.6g}" for name, value in figures.means().items()}
                lines.writerow({"method": method, "video_id": video_id, **means})
        return text.getvalue().encode()


def read_localisation(url: str) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of each video by method and video ID, from `localisation.csv`; undefined ones are NaN.

    Args:
        url: URL of the output folder of an evaluation.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for line in csv.DictReader(io.StringIO((Location.at(url) / NAME).read_text())):
        values = {name: float(line[name] or "nan") for name in COLUMNS[2:]}
        found.setdefault(line["method"], {})[line["video_id"]] = values
    return found
