"""Evaluate: the videos of a split list scored from an attention store, and how good the scores are.

One pass over the store, one video in memory at a time; what is kept is one score vector per video and method. No Ray:
a store of half a million frames is read faster than a cluster is started for it.
"""

import dataclasses
import hashlib
import json
import logging
import posixpath
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from attn.classes import class_ids
from attn.datasets.split import read_split
from attn.engine.evaluate_methods import make_scorers
from attn.engine.options import EvaluateOptions
from attn.engine.split_check import present_videos, some
from attn.eval.summary import EVALUATOR, INTERVALS, compare, summarise
from attn.report.table import metrics_table
from attn.stages.cnn_signs import CnnSigns
from attn.stages.finite import check_finite
from attn.stages.scoring import Scorer
from attn.storage import scores as scores_file
from attn.storage.filesystem import open_filesystem, read_bytes, storage_errors, write_atomic
from attn.storage.listing import glob_files
from attn.storage.scores import Scores, scores_parquet
from attn.storage.store import AttentionStore, VideoRows
from attn.storage.writable import check_writable

log = logging.getLogger(__name__)

METRICS = "metrics.json"
BASELINE = "cnn"
HEARTBEAT_S = 5.0


def evaluate(options: EvaluateOptions) -> int:
    """Writes `metrics.json`, last, and `scores.parquet`; the exit code.

    Raises:
        UsageError: before anything was written.
    """
    check_writable(options.out)
    fs, out = open_filesystem(options.out)
    with storage_errors(options.store):
        store = AttentionStore.open(options.store, allow_partial=options.allow_partial)
        video_ids = store.video_ids
    names = store.manifest.class_names
    split, ids = read_split(options.split, names), class_ids(names)
    there = present_videos(
        split, video_ids, store=options.store, where=options.split, allow_missing=options.allow_missing
    )
    labels, missing = {video_id: ids[name] for video_id, name in there.items()}, sorted(split.keys() - there.keys())
    methods = make_scorers(options, store)

    scores, relabelled = score_videos(store, methods, labels)
    metrics = {
        "options": dataclasses.asdict(options),
        "store": {"url": options.store, "fingerprint": store.manifest.fingerprint},
        "split": {**split_record(options.split), "videos": len(split)},
        "missing": {"videos": len(missing), "ids": missing},
        "relabelled": {"videos": len(relabelled), "ids": relabelled},
        **figures(scores, methods, names),
    }
    folder = out.rstrip("/")
    write_atomic(fs, f"{folder}/{scores_file.NAME}", scores_parquet(scores, store.manifest))
    write_atomic(fs, f"{folder}/{METRICS}", json.dumps(metrics, indent=1, ensure_ascii=False).encode())
    for line in metrics_table(metrics):
        log.info("%s", line)
    return 0


def score_videos(store: AttentionStore, methods: Sequence[Scorer], labels: dict[str, int]) -> tuple[Scores, list[str]]:
    """Scores of the labelled videos, and which of them the store labels otherwise.

    They are kept in float64: in float32 the probabilities of confident videos are all one, and the video id would
    rank them. `scores.parquet` rounds them.

    Args:
        store: must have all of the videos.
        methods: one at least.
        labels: video id → class id, from the split list, which is the authority.

    Raises:
        UsageError: a video holds numbers that are none.
    """
    columns = list(dict.fromkeys(name for method in methods for name in method.columns))
    found: dict[str, list[np.ndarray]] = {}
    relabelled, signs = [], CnnSigns()
    for rows in _with_heartbeat(store.videos(columns), labels):
        for name in columns:
            check_finite(store.url, rows.video_id, rows.frame, name, rows.tensors[name])
        signs.add(rows.tensors)
        found[rows.video_id] = [method(rows) for method in methods]
        if rows.label not in (None, labels[rows.video_id]):
            relabelled.append(rows.video_id)
    for text in signs.texts(class_names=store.manifest.class_names) if len(set(labels.values())) > 1 else []:
        log.warning("%s: %s", store.url, text)
    if relabelled:
        log.warning("the store labels %d videos otherwise; the list counts: %s", len(relabelled), some(relabelled))
    video_ids = sorted(found)
    by_method = {
        method.name: np.array([found[video_id][i] for video_id in video_ids], np.float64)
        for i, method in enumerate(methods)
    }
    return Scores(video_ids, np.array([labels[video_id] for video_id in video_ids], np.int16), by_method), relabelled


def figures(scores: Scores, methods: Sequence[Scorer], class_names: tuple[str, ...]) -> dict[str, Any]:
    """Figures of every method, and of every other method against the baseline where that is among them."""
    by_method, labels = scores.by_method, scores.labels
    results = {
        method.name: {
            "method": method.definition,
            **summarise(by_method[method.name], labels, class_names=class_names),
        }
        for method in methods
    }
    others = [name for name in by_method if name != BASELINE] if BASELINE in by_method else []
    paired = {f"{name} - {BASELINE}": compare(by_method[name], by_method[BASELINE], labels) for name in others}
    return {"evaluator": EVALUATOR, "intervals": INTERVALS, "methods": results, "paired": paired}


def split_record(url: str) -> dict[str, str]:
    """Name and sha256 of a split list; of a folder or glob of lists, the sha256 of their `sha256sum` listing."""
    fs, path = open_filesystem(url)
    files = sorted(file.path for file in glob_files(fs, path))
    sums = [hashlib.sha256(read_bytes(fs, file)).hexdigest() for file in files]
    listing = "".join(f"{digest}  {posixpath.basename(file)}\n" for digest, file in zip(sums, files, strict=True))
    return {
        "file": posixpath.basename(path.rstrip("/")),
        "sha256": sums[0] if len(sums) == 1 else hashlib.sha256(listing.encode()).hexdigest(),
    }


def _with_heartbeat(videos: Iterator[VideoRows], wanted: dict[str, int]) -> Iterator[VideoRows]:
    """The wanted ones of the videos, with a log line every few seconds."""
    done, told_s = 0, time.monotonic()
    for rows in videos:
        if rows.video_id in wanted:
            yield rows
            done += 1
        if time.monotonic() - told_s >= HEARTBEAT_S:
            told_s = time.monotonic()
            log.info("%d/%d videos scored", done, len(wanted))
