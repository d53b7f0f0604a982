"""Scores of videos, computed in one pass over a store with one video in memory at a time."""

import dataclasses
import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence, Set

import numpy as np
from jaxtyping import Float

from attn.errors import some
from attn.stages.finite import check_finite
from attn.stages.one_answer import OneAnswer
from attn.stages.scoring import Scorer
from attn.storage.store import AttentionStore, VideoRows

log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0


@dataclasses.dataclass(frozen=True)
class Scored:
    """Results of a pass over a store.

    Scores are in float64: in float32, many confident videos have probability 1, and the video ID would decide their
    rank. `scores.parquet` rounds them.

    Attributes:
        scores: scores [cls] by video ID and method.
        relabelled: tested videos whose label in the store is not in the list.
        warnings: signs that the CNN has learnt nothing, one line each.
    """

    scores: Mapping[str, Mapping[str, np.ndarray]]
    relabelled: list[str]
    warnings: list[str]

    def of(self, method: str, video_ids: Sequence[str]) -> Float[np.ndarray, "video cls"]:
        """Scores of the given videos by one method, in the given order."""
        return np.array([self.scores[video_id][method] for video_id in video_ids], np.float64)


def score_videos(
    store: AttentionStore,
    methods: Sequence[Scorer],
    labels: Mapping[str, Collection[int]],
    class_names: Sequence[str] | None = None,
    *,
    calibrating: Set[str] = frozenset(),
) -> Scored:
    """Score tested videos with all methods, and calibration videos with the methods that can be calibrated.

    Args:
        store: store that contains all of the videos.
        methods: one or more scorers.
        labels: class IDs of each tested video, by video ID. The split list overrides labels in the store.
        class_names: classes of the labels. Default: the store's; labels in the store are only compared with these.
        calibrating: IDs of videos that are scored without a label.

    Raises:
        UsageError: a video contains non-finite numbers.
    """
    calibrated = [method for method in methods if method.calibrated]
    columns = list(dict.fromkeys(name for method in (methods if labels else calibrated) for name in method.columns))
    found: dict[str, dict[str, np.ndarray]] = {}
    relabelled, one_answer = [], OneAnswer()
    comparable = class_names in (None, store.manifest.class_names)
    for rows in _with_heartbeat(store.videos(columns), labels.keys() | calibrating):
        for name in columns:
            check_finite(store.url, rows.video_id, rows.frame, name, rows.tensors[name])
        of_video = labels.get(rows.video_id)
        found[rows.video_id] = {method.name: method(rows) for method in (calibrated if of_video is None else methods)}
        if of_video is not None:
            one_answer.see(rows, of_video)
            if comparable and rows.label not in (None, *of_video):
                relabelled.append(rows.video_id)
    warnings = one_answer.warnings(store.manifest.class_names)
    if relabelled:
        log.warning(
            "%d videos have another label in the store; the list is used: %s", len(relabelled), some(relabelled)
        )
    for warning in warnings:
        log.warning("%s", warning)
    return Scored(found, relabelled, warnings)


def _with_heartbeat(videos: Iterator[VideoRows], wanted: Set[str]) -> Iterator[VideoRows]:
    """Yield the wanted videos and log progress every few seconds."""
    done, logged_s = 0, time.monotonic()
    for rows in videos:
        if rows.video_id in wanted:
            yield rows
            done += 1
        if time.monotonic() - logged_s >= HEARTBEAT_S:
            logged_s = time.monotonic()
            log.info("%d/%d videos scored", done, len(wanted))
