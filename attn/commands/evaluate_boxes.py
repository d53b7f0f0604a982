"""Share of a model's attention inside the boxes of the action, for `--boxes` of evaluate."""

import logging
from collections.abc import Collection
from typing import Any

import numpy as np
from jaxtyping import Float

from attn.datasets.boxes import BoxFolder
from attn.errors import UsageError, some
from attn.eval.localisation import box_coverage, localisation
from attn.storage.error_messages import shown
from attn.storage.manifest import ClipManifest, Manifest
from attn.storage.store import VideoRows
from attn.video.transform import Resampling

log = logging.getLogger(__name__)


class BoxShares:
    """Attention of models inside the boxes of the tested videos.

    Args:
        url: URL of the folder of boxes.
        video_ids: tested videos.
        manifest: manifest of the store of the grids.

    Raises:
        UsageError: no tested video has boxes, a file is damaged, or the part of a frame that the CNN has seen is
            unknown.
    """

    def __init__(self, url: str, video_ids: Collection[str], manifest: Manifest):
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
        self._size = manifest.input_size
        self._without = len(read) - len(self._tracks)
        self._found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}

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
        # Boxes that overlap within a cell count as the larger one.
        covered = [box_coverage(track.boxes[frames[i]], **where).max(axis=0) for i in chosen]
        if chosen:
            self._found.setdefault(method, []).append((weights[chosen], np.stack(covered)))

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
        """Share, chance and ratio of each model, as JSON types, see `attn.eval.localisation.Localisation`."""
        if not self._found:
            log.warning("--boxes %s: no frame of the store has a box, so nothing was compared", shown(self._url))
        methods = {}
        for method, parts in self._found.items():
            found = localisation(*map(np.concatenate, zip(*parts, strict=True)))._asdict()
            methods[method] = {name: None if np.isnan(value) else value for name, value in found.items()}
        return {"url": self._url, "videos_without_boxes": self._without, "methods": methods}
