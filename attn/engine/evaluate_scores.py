"""The scores of videos, from one pass over a store with one video in memory at a time."""

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping, Sequence, Set

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

    They are kept in float64: in float32 the probabilities of confident videos are all one, and the video id would
    rank them. `scores.parquet` rounds them.

    Attributes:
        scores: video id → method → [cls].
        relabelled: tested videos that the store labels otherwise than the list does.
        warnings: one line each, of a CNN that has learnt nothing.
    """

    scores: Mapping[str, Mapping[str, np.ndarray]]
    relabelled: list[str]
    warnings: list[str]

    def of(self, method: str, video_ids: Sequence[str]) -> Float[np.ndarray, "video cls"]:
        """Scores of some of the videos, in their order."""
        return np.array([self.scores[video_id][method] for video_id in video_ids], np.float64)


def score_videos(
    store: AttentionStore,
    methods: Sequence[Scorer],
    labels: Mapping[str, int],
    *,
    calibrating: Set[str] = frozenset(),
) -> Scored:
    """Scores of the tested videos by all methods, of those that only calibrate by the methods that are calibrated.

    Args:
        store: must have all of the videos.
        methods: one at least.
        labels: tested videos: video id → class id, from the split list, which is the authority.
        calibrating: ids of videos that are scored without a label.

    Raises:
        UsageError: a video holds numbers that are none.
    """
    calibrated = [method for method in methods if method.calibrated]
    columns = list(dict.fromkeys(name for method in (methods if labels else calibrated) for name in method.columns))
    found: dict[str, dict[str, np.ndarray]] = {}
    relabelled, one_answer = [], OneAnswer()
    for rows in _with_heartbeat(store.videos(columns), labels.keys() | calibrating):
        for name in columns:
            check_finite(store.url, rows.video_id, rows.frame, name, rows.tensors[name])
        label = labels.get(rows.video_id)
        found[rows.video_id] = {method.name: method(rows) for method in (calibrated if label is None else methods)}
        if label is not None:
            one_answer.see(rows, label)
            if rows.label not in (None, label):
                relabelled.append(rows.video_id)
    warnings = one_answer.warnings(store.manifest.class_names)
    if relabelled:
        log.warning("the store labels %d videos otherwise; the list counts: %s", len(relabelled), some(relabelled))
    for warning in warnings:
        log.warning("%s", warning)
    return Scored(found, relabelled, warnings)


def _with_heartbeat(videos: Iterator[VideoRows], wanted: Set[str]) -> Iterator[VideoRows]:
    """The wanted ones of the videos, with a log line every few seconds."""
    done, told_s = 0, time.monotonic()
    for rows in videos:
        if rows.video_id in wanted:
            yield rows
            done += 1
        if time.monotonic() - told_s >= HEARTBEAT_S:
            told_s = time.monotonic()
            log.info("%d/%d videos scored", done, len(wanted))
