"""Answers of the explorer: its list, the frames of a video, maps and values of a frame, values over time."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from attn.commands.explore.catalogue import UNKNOWN, Catalogue, Query
from attn.schema import ATTENTION, GRID, MAPS
from attn.stages.frame_values import frame_attention, frame_values, needs_whole_video
from attn.stages.scoring import Scorer
from attn.stages.soft_attention_scoring import attending
from attn.storage.bounded_cache import BoundedCache
from attn.storage.manifest import ClipManifest
from attn.storage.random_rows import Place, RowReader
from attn.storage.store import AttentionStore, VideoRows

LIST_ROWS = 100
"""Videos of one answer of the list."""
VALUES_BYTES = 64 << 20
Answer = dict[str, Any]


class UnknownError(LookupError):
    """The store has no such video, frame or class."""


class WholeVideo(NamedTuple):
    """Values that need all frames of a video.

    Attributes:
        values: method → value of each frame and class.
        scores: method → score of each class.
        attention: method → attention weight of each frame, for methods that weight frames.
        largest: largest value in any map of each class; None in a store without maps.
        weights: method or map of a clip store → attention weights of the places of each frame, whatever the class.
    """

    values: dict[str, Float[np.ndarray, "frame cls"]]
    scores: dict[str, Float[np.ndarray, " cls"]]
    attention: dict[str, Float[np.ndarray, " frame"]]
    largest: Float[np.ndarray, " cls"] | None
    weights: dict[str, Float[np.ndarray, "frame row col"]]

    @property
    def nbytes(self) -> int:
        """Bytes of all values over time."""
        return sum(one.nbytes for found in (self.values, self.attention, self.weights) for one in found.values())


class Explorer:
    """Explorer of one store. Any number of threads may ask.

    A frame costs the row group that holds it; values over time cost the rows of their video once.

    Args:
        store: the store.
        catalogue: list of its videos.
        methods: methods to show, by name.
        class_names: classes of their values.
    """

    def __init__(
        self, store: AttentionStore, catalogue: Catalogue, methods: Mapping[str, Scorer], class_names: Sequence[str]
    ):
        self.store, self.catalogue, self.methods, self.class_names = store, catalogue, methods, class_names
        maps = {MAPS, ATTENTION} & {*store.manifest.columns}
        self._quick = {name: scorer for name, scorer in methods.items() if not needs_whole_video(scorer)}
        quick, all_columns = maps | _columns(self._quick.values()), maps | _columns(methods.values())
        self._frames = RowReader(store, sorted(quick))
        self._videos = self._frames if all_columns == quick else RowReader(store, sorted(all_columns))
        self._whole = BoundedCache[WholeVideo](VALUES_BYTES, lambda found: found.nbytes)

    def list(self, query: Query, start: int) -> Answer:
        """Return up to 100 of the wanted videos, and the number of all of them."""
        found, listed = self.catalogue.find(query), self.catalogue
        rows = [
            {
                "video": listed.places[i].video_id,
                "label": _class(listed.labels[i].item()),
                "predicted": _class(listed.predicted[i].item()),
                "confidence": round(float(listed.confidence[i]), 4),
                "frames": listed.places[i].count,
            }
            for i in found[start : start + LIST_ROWS]
        ]
        return {"total": len(found), "videos": rows}

    def video(self, video_id: str) -> Answer:
        """Return indices and times of the frames of a video, its label and its predicted class.

        Raises:
            UnknownError: the store has no such video.
        """
        at, place = self._at(video_id)
        frames, times = self._frames.times(place)
        return {
            "video": video_id,
            "label": _class(self.catalogue.labels[at].item()),
            "predicted": _class(self.catalogue.predicted[at].item()),
            "truncated": place.truncated,
            "frames": frames.tolist(),
            "times": [round(float(time_s), 3) for time_s in times],
        }

    def frame(self, video_id: str, position: int, classes: Collection[int]) -> Answer:
        """Return the maps of some classes in one frame, and the values of all classes.

        Methods that look at whole videos are left out until `curves` has been asked for.

        Raises:
            UnknownError: the store has no such video, frame or class.
        """
        _, place = self._at(video_id)
        self._check(place, position, classes)
        rows = self._frames.rows(place, slice(position, position + 1))
        found = {name: frame_values(scorer, rows) for name, scorer in self._quick.items()}
        values = {name: one[0] for name, one in found.items() if one is not None}
        maps = {str(c): _rows(rows.maps[0, c]) for c in classes} if MAPS in rows.tensors else {}
        whole, weights = self._whole.get(video_id), {}
        if whole is not None:
            values |= {name: found[position] for name, found in whole.values.items() if name not in values}
            weights = {name: _rows(found[position]) for name, found in whole.weights.items()}
        return {
            "position": position,
            "maps": maps,
            "weights": weights,
            "values": {name: _numbers(found) for name, found in values.items()},
        }

    def curves(self, video_id: str, classes: Collection[int]) -> Answer:
        """Return the values of some classes and the attention over time, and figures of the video.

        These are the scores and the largest attention of all classes, and the largest weights of methods.

        Raises:
            UnknownError: the store has no such video or class.
        """
        _, place = self._at(video_id)
        self._check(place, 0, classes)
        whole = self._whole.get_or(video_id, lambda: self._computed(self._videos.rows(place)))
        return {
            "scores": {name: _numbers(found) for name, found in whole.scores.items()},
            "largest": [] if whole.largest is None else _numbers(whole.largest),
            "weights": {name: float(found.max(initial=0)) for name, found in whole.weights.items()},
            "attention": {name: _numbers(found) for name, found in whole.attention.items()},
            "curves": {name: {str(c): _numbers(found[:, c]) for c in classes} for name, found in whole.values.items()},
        }

    def frame_index(self, video_id: str, position: int) -> int:
        """Return the index in the source of a frame.

        Raises:
            UnknownError: the store has no such video or frame.
        """
        _, place = self._at(video_id)
        self._check(place, position, ())
        return int(self._frames.rows(place, slice(position, position + 1)).frame[0])

    def _computed(self, rows: VideoRows) -> WholeVideo:
        largest = rows.maps.max(axis=(0, 2, 3)).astype(np.float32) if MAPS in rows.tensors else None
        weights = {
            name: np.nan_to_num(model.scored(rows).weights(rows.tensors[GRID].shape[2:]))
            for name, scorer in self.methods.items()
            if (model := attending(scorer)) is not None
        }
        if isinstance(manifest := self.store.manifest, ClipManifest) and ATTENTION in rows.tensors:
            of_clips = rows.tensors[ATTENTION].astype(np.float32).mean(2)  # over the time steps of a clip
            weights |= {name: of_clips[:, i] for i, name in enumerate(manifest.map_names)}
        found = {name: frame_values(scorer, rows) for name, scorer in self.methods.items()}
        values = {name: one for name, one in found.items() if one is not None}
        scores = {name: scorer(rows).astype(np.float32) for name, scorer in self.methods.items()}
        over_time = {name: frame_attention(scorer, rows) for name, scorer in self.methods.items()}
        attention = {name: one for name, one in over_time.items() if one is not None}
        return WholeVideo(values, scores, attention, largest, weights)

    def _at(self, video_id: str) -> tuple[int, Place]:
        at = self.catalogue.positions.get(video_id)
        if at is None:
            raise UnknownError("the store has no such video.")
        return at, self.catalogue.places[at]

    def _check(self, place: Place, position: int, classes: Collection[int]) -> None:
        if not 0 <= position < place.count:
            raise UnknownError(f"the video has frames 0 to {place.count - 1}, not {position}.")
        if any(not 0 <= c < len(self.class_names) for c in classes):
            raise UnknownError(f"the classes are 0 to {len(self.class_names) - 1}.")


def _columns(scorers: Collection[Scorer]) -> set[str]:
    return {column for scorer in scorers for column in scorer.columns}


def _class(class_id: int) -> int | None:
    return None if class_id == UNKNOWN else class_id


def _rows(values: Float[np.ndarray, "row col"]) -> list[list[float | None]]:
    return [_numbers(row) for row in values]


def _numbers(values: Float[np.ndarray, " some"]) -> list[float | None]:
    """Numbers for JSON, with five digits; null for NaN."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values.tolist()]
