"""Share of a model's attention inside the boxes of the action, for `--boxes` of evaluate."""

from collections.abc import Collection
from typing import Any

import numpy as np
from jaxtyping import Float

from attn.commands.split_check import some
from attn.datasets.boxes import BoxFolder
from attn.errors import UsageError
from attn.eval.localisation import box_coverage, localisation
from attn.storage.error_messages import shown
from attn.storage.store import VideoRows


class BoxShares:
    """Attention of models inside the boxes of videos.

    Args:
        url: URL of the folder of boxes.
    """

    def __init__(self, url: str):
        self._url, self._folder = url, BoxFolder(url)
        self._found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        self._without: set[str] = set()

    def check(self, video_ids: Collection[str]) -> None:
        """Check that some video has boxes.

        Raises:
            UsageError: no video has.
        """
        if not any(map(self._folder.has, video_ids)):
            raise UsageError(f"--boxes {shown(self._url)}: no boxes of {some(sorted(video_ids))}. Check the names.")

    def add(self, method: str, rows: VideoRows, weights: Float[np.ndarray, "frame row col"]) -> None:
        """Add the frames of a video that have boxes; frames that the model has not seen have NaN weights.

        Raises:
            UsageError: the file of the boxes is damaged.
        """
        track = self._folder.read(rows.video_id)
        if track is None:
            self._without.add(rows.video_id)
            return
        seen = np.isfinite(weights).all((1, 2))
        frames = rows.frame.tolist()
        chosen = [int(i) for i in np.flatnonzero(seen) if len(track.boxes.get(frames[i], ()))]
        shape = weights.shape[1:]
        covered = [
            # Boxes that overlap within a cell count as the larger one.
            box_coverage(track.boxes[frames[i]], source_shape=track.shape, map_shape=shape).max(axis=0)
            for i in chosen
        ]
        if chosen:
            self._found.setdefault(method, []).append((weights[chosen], np.stack(covered)))

    def figures(self) -> dict[str, Any]:
        """Share, chance and ratio of each model, as JSON types, see `attn.eval.localisation.Localisation`."""
        methods = {}
        for method, parts in self._found.items():
            found = localisation(*map(np.concatenate, zip(*parts, strict=True)))._asdict()
            methods[method] = {name: None if np.isnan(value) else value for name, value in found.items()}
        return {"url": self._url, "videos_without_boxes": len(self._without), "methods": methods}
