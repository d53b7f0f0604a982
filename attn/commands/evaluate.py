"""Evaluate: score the videos of a split list from an attention store and compute metrics.

Each store is read in one pass with one video in memory at a time; only one score vector per video and method is kept.
Ray is not used: reading a store of half a million frames is faster than starting a cluster.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from attn.classes import class_ids, class_mask
from attn.commands import evaluate_boxes as localisation_file
from attn.commands import evaluate_calibration as calibration_file
from attn.commands.clip_maps import clip_manifest, with_clip_maps
from attn.commands.evaluate_attention import written_attention
from attn.commands.evaluate_boxes import BoxShares
from attn.commands.evaluate_calibration import open_calibration
from attn.commands.evaluate_methods import make_scorers
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.evaluate_scores import Scored, score_videos
from attn.commands.split_check import present_videos
from attn.datasets.split import read_label_sets
from attn.errors import UsageError
from attn.eval.calibration import Calibration
from attn.eval.summary import EVALUATOR, INTERVALS, compare, compare_multi_label, map_draws, summarise
from attn.report.table import metrics_table
from attn.stages.scoring import CALIBRATED, Calibrated, Scorer
from attn.storage import scores as scores_file
from attn.storage.error_messages import shown
from attn.storage.filesystem import storage_errors
from attn.storage.listing import glob_files
from attn.storage.location import Location
from attn.storage.scores import Scores, scores_parquet
from attn.storage.store import AttentionStore
from attn.storage.writable import check_results_folder

log = logging.getLogger(__name__)

METRICS = "metrics.json"
BASELINE = "cnn"


def evaluate(options: EvaluateOptions) -> int:
    """Write the scores, the files of `--attention` and `--calibrate`, and then the metrics; return the exit code.

    Raises:
        UsageError: flags, lists or stores are invalid; nothing was written.
    """
    check_results_folder(options.out)
    out = Location.at(options.out)
    with storage_errors(options.store):
        store = AttentionStore.open(options.store, allow_partial=options.allow_partial)
        video_ids = store.video_ids
    scoring = make_scorers(options, store)
    methods, names = scoring.scorers, scoring.class_names
    split = read_label_sets(options.split, names, present=video_ids, whose=scoring.whose)
    there = present_videos(
        split, video_ids, store=options.store, where=options.split, allow_missing=options.allow_missing
    )
    if not any(there.values()):
        raise UsageError(f"{shown(options.split)}: no video to test has a class. List videos of the classes too.")
    ids, missing = class_ids(names), sorted(split.keys() - there.keys())
    labels = {video_id: [ids[name] for name in classes] for video_id, classes in there.items()}
    source = open_calibration(options, store, scoring)

    clips = clip_manifest(store.manifest) is not None
    if options.boxes is not None and not options.attention and not clips:
        raise UsageError("--boxes: compares attention weights. Give --attention, too.")
    boxes = _boxes(options, labels.keys(), store)
    also = source.videos if source is not None and source.tested_store else frozenset()
    compared = methods if boxes is None else with_clip_maps(methods, store, boxes)
    with written_attention(options, compared, store, boxes) as scorers:
        scored = score_videos(store, scorers, labels, names, calibrating=also)
    calibrations = {} if source is None else source.fit(scored, methods)
    scores, definitions = scores_of(scored, labels, methods, calibrations)
    metrics = {
        "options": {**dataclasses.asdict(options), "methods": options.chosen_methods},
        "store": {"url": options.store, "fingerprint": store.manifest.fingerprint},
        "split": {**split_record(options.split), "videos": len(split)},
        "missing": {"videos": len(missing), "ids": missing},
        "relabelled": {"videos": len(scored.relabelled), "ids": scored.relabelled},
        "warnings": scored.warnings,
        "calibration": source
        and {**source.record(labels.keys()), "lists": [split_record(url) for url in options.calibrate_lists]},
        **figures(scores, definitions, names),
        **({} if boxes is None else {"localisation": boxes.figures()}),
    }
    (out / scores_file.NAME).write_atomic(scores_parquet(scores, store.manifest, names))
    if boxes is not None:
        (out / localisation_file.NAME).write_atomic(boxes.file())
    if source is not None:
        (out / calibration_file.NAME).write_atomic(source.file(calibrations, names))
    (out / METRICS).write_atomic(json.dumps(metrics, indent=1, ensure_ascii=False).encode())
    for line in metrics_table(metrics):
        log.info("%s", line)
    return 0


def _boxes(options: EvaluateOptions, video_ids: Collection[str], store: AttentionStore) -> BoxShares | None:
    """Boxes of `--boxes`; None without them."""
    if options.boxes is None:
        return None
    if not 0 < options.box_threshold <= 1:
        raise UsageError(f"--box-threshold {options.box_threshold:g}: must be above 0 and at most 1.")
    return BoxShares(options.boxes, video_ids, store.manifest, threshold=options.box_threshold)


def scores_of(
    scored: Scored,
    labels: Mapping[str, Collection[int]],
    methods: Sequence[Scorer],
    calibrations: Mapping[str, Calibration],
) -> tuple[Scores, dict[str, str]]:
    """Return scores of the tested videos and definitions of the methods; calibrated scores follow each method.

    Args:
        scored: results of a pass over the store of the tested videos.
        labels: class IDs of each tested video, by video ID.
        methods: scorers in the order of the tables.
        calibrations: calibration statistics by method name.
    """
    video_ids = sorted(labels)
    by_method: dict[str, np.ndarray] = {}
    definitions: dict[str, str] = {}
    for method in methods:
        plain = scored.of(method.name, video_ids)
        by_method[method.name], definitions[method.name] = plain, method.definition
        if found := calibrations.get(method.name):
            calibrated = Calibrated(method, found)
            by_method[calibrated.name], definitions[calibrated.name] = found.apply(plain), calibrated.definition
    num_classes = next(iter(by_method.values())).shape[1]
    return Scores(video_ids, class_mask([labels[one] for one in video_ids], num_classes), by_method), definitions


def figures(scores: Scores, definitions: Mapping[str, str], class_names: tuple[str, ...]) -> dict[str, Any]:
    """Metrics of all methods and paired comparisons.

    They are those of one class per video if each video has exactly one, otherwise multi-label. Each method is compared
    with the baseline, and calibrated scores with uncalibrated ones. Pairs with a missing method are omitted.
    """
    by_method, labels, positives = scores.by_method, scores.labels, scores.positives
    draws = {name: map_draws(by_method[name], positives) for name in definitions}
    results = {
        name: {
            "method": definition,
            **summarise(by_method[name], positives, class_names=class_names, draws=draws[name]),
        }
        for name, definition in definitions.items()
    }
    pairs = [(name, BASELINE) for name in by_method if name != BASELINE]
    pairs += [(name + CALIBRATED, name) for name in by_method]
    paired = {
        f"{first} - {second}": compare_multi_label(results[first], results[second], (draws[first], draws[second]))
        if labels is None
        else compare(by_method[first], by_method[second], labels)
        for first, second in pairs
        if first in by_method and second in by_method
    }
    return {"evaluator": EVALUATOR, "intervals": INTERVALS, "methods": results, "paired": paired}


def split_record(url: str) -> dict[str, str]:
    """File name and SHA-256 of a split list. For a folder or glob, the hash is that of the `sha256sum` listing."""
    place = Location.at(url)
    files = [place.at_path(path) for path in sorted(file.path for file in glob_files(place))]
    sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    listing = "".join(f"{digest}  {file.name}\n" for digest, file in zip(sums, files, strict=True))
    return {
        "file": place.name,
        "sha256": sums[0] if len(sums) == 1 else hashlib.sha256(listing.encode()).hexdigest(),
    }
