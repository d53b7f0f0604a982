"""Detect: segments of actions in untrimmed videos, from the features of one or two streams."""

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from attn.classes import class_ids, class_mask
from attn.commands.detect_options import DetectOptions
from attn.commands.evaluate import METRICS, figures, split_record
from attn.commands.split_check import present_videos
from attn.commands.video_labels import META, read_classes, read_labels
from attn.datasets import detections_file, thumos14
from attn.datasets.activitynet import results_json
from attn.datasets.segments import Detection
from attn.errors import UsageError, refuse_flag, some
from attn.models.tsrnet_file import TSRNET, sha256_of
from attn.report.table import metrics_table
from attn.schema import FEATURES
from attn.stages.open_model import TrainedModel, open_model
from attn.stages.sampled_videos import sampled_videos
from attn.stages.segments import SegmentRule, Stream
from attn.stages.time_samples import NumSamples
from attn.stages.tsrnet_scoring import TsrnetScore
from attn.storage import scores as scores_file
from attn.storage.error_messages import shown
from attn.storage.filesystem import storage_errors
from attn.storage.location import Location
from attn.storage.scores import Scores, scores_parquet
from attn.storage.store import AttentionStore
from attn.storage.writable import check_results_folder

log = logging.getLogger(__name__)

SAME_TIME_S = 1e-3
"""Difference of the times of two streams, in seconds, that rounding explains, besides a millionth of the time."""


class Source(NamedTuple):
    """Store and model of one stream."""

    store: AttentionStore
    model: TrainedModel
    scorer: TsrnetScore
    samples: NumSamples


class Watched(NamedTuple):
    """Output for one video by one stream."""

    stream: Stream
    edges_s: np.ndarray


def detect(options: DetectOptions) -> int:
    """Write the files of detections; return the exit code.

    Raises:
        UsageError: flags, models or stores are invalid, or times of two streams differ; nothing was written.
    """
    check_results_folder(options.out)
    rule = _rule(options)
    sources = _sources(options)
    names = sources[0].model.class_names
    wanted = _wanted(options, names)
    videos = _videos(options, sources)
    truth = None if options.labels is None else _truth(options, sources, videos)
    _check_stale(options)
    videos = videos if truth is None else {*truth}
    watched = [_watched(source, videos) for source in sources]
    found, scores = [], {}
    for video_id in sorted(videos):
        both = [one[video_id] for one in watched]
        _check_times(options, video_id, both)
        streams = [one.stream for one in both]
        scores[video_id] = [one.scores for one in streams] + [rule.fused_scores(streams)]
        found += [
            Detection(video_id, names[one.cls], one.start_s, one.end_s, one.score)
            for one in rule.segments(streams, both[0].edges_s)
            if names[one.cls] in wanted
        ]
    _write(options, sources, found, wanted)
    if truth is not None:
        _write_recognition(options, sources, truth, scores)
    log.info(
        "%d detections of %d classes in %d of %d videos",
        *(len(found), len({one.label for one in found}), len({one.video_id for one in found}), len(videos)),
    )
    return 0


def _rule(options: DetectOptions) -> SegmentRule:
    refuse_flag("theta", options.theta, "must be from 0 to 1", not 0 <= options.theta <= 1)
    for name in ("class_threshold", "relative_threshold"):
        value = getattr(options, name)
        refuse_flag(name, value, "must be from 0 to below 1", not 0 <= value < 1)
    few = options.num_samples is not None and options.num_samples < 1
    refuse_flag("num_samples", options.num_samples, "must be at least 1", few)
    return SegmentRule(
        theta=options.theta,
        class_threshold=options.class_threshold,
        relative_threshold=options.relative_threshold,
        smoothing=options.smoothing,
        score=options.score,
        per_stream=options.segments == "per_stream",
    )


def _sources(options: DetectOptions) -> list[Source]:
    """Stores with their models, after a check that they fit together."""
    if not 1 <= len(options.store) <= 2 or len(options.store) != len(options.model):
        raise UsageError(
            f"--store, --model: {len(options.store)} and {len(options.model)} given. Give one of each, or two of each "
            "for RGB and flow."
        )
    sources = [_source(*pair, options) for pair in zip(options.store, options.model, strict=True)]
    first, last = sources[0].model.class_names, sources[-1].model.class_names
    if first != last:
        differing = sorted({*first} ^ {*last}) or ["another order"]
        raise UsageError(
            f"--model: the two networks have different classes ({some(differing)}). Train both with the same --classes."
        )
    if sources[0].samples != sources[-1].samples:
        raise UsageError(
            f"--model: the two networks have {sources[0].samples} and {sources[-1].samples} samples. Give "
            "--num-samples."
        )
    return sources


def _source(store_url: str, model_url: str, options: DetectOptions) -> Source:
    model = open_model(model_url)
    if not isinstance(model.scorer, TsrnetScore):
        raise UsageError(f"{shown(model_url)}: a model of kind {model.kind}, not {TSRNET.name}. Give a trained TSRNet.")
    with storage_errors(store_url):
        store = AttentionStore.open(store_url, allow_partial=options.allow_partial)
    store.check_columns([FEATURES])
    if unlike := model.unlike(store.manifest):
        raise UsageError(
            f"{shown(store_url)}: features of another CNN than {shown(model_url)} was trained on "
            f"({', '.join(unlike)}). Give stores and models in the same order, or precompute with that CNN."
        )
    return Source(store, model, model.scorer, options.num_samples or model.scorer.num_samples)


def _wanted(options: DetectOptions, names: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := sorted({*options.classes} - {*names}):
        raise UsageError(f"--classes {some(unknown)}: not among the {len(names)} classes of the model. Correct them.")
    return tuple(name for name in names if not options.classes or name in options.classes)


def _videos(options: DetectOptions, sources: Sequence[Source]) -> set[str]:
    """Videos of all stores."""
    held = [{*source.store.video_ids} for source in sources]
    shared = set.intersection(*held)
    if not shared:
        raise UsageError(f"--store: {' and '.join(map(shown, options.store))} have no video in common. Check the URLs.")
    if lacking := sorted(set.union(*held) - shared):
        if not options.allow_missing:
            without = next(url for url, one in zip(options.store, held, strict=True) if lacking[0] not in one)
            raise UsageError(
                f"--store: {len(lacking)} videos are in only one of the two stores; {shown(without)} lacks "
                f"{lacking[0]}. Precompute them, or give --allow-missing."
            )
        log.warning("%d videos are in only one of the two stores: %s. They are left out.", len(lacking), some(lacking))
    return shared


def _truth(options: DetectOptions, sources: Sequence[Source], videos: set[str]) -> dict[str, list[int]]:
    """Class IDs of the labelled videos, of which no network was trained on any."""
    names, labels = sources[0].model.class_names, str(options.labels)
    ids = class_ids(names)
    if labels.endswith(META):
        known = read_classes(labels, options.class_list, ())
        listed = {
            one: tuple(name for name in classes if name in ids)
            for one, classes in read_labels(labels, known, videos, part="test").items()
        }
    else:
        listed = read_labels(labels, names, videos, part="test")
    if not any(listed.values()):
        raise UsageError(f"{shown(labels)}: no video has a class of the model. List videos of the classes too.")
    for source, url in zip(sources, options.model, strict=True):
        if both := sorted({*source.model.trained_on} & listed.keys()):
            raise UsageError(
                f"{some(both)}: both in --labels {shown(labels)} and in the training of {shown(url)}. Test only on "
                "unseen videos."
            )
    there = present_videos(listed, videos, store=options.store[0], where=labels, allow_missing=options.allow_missing)
    return {video_id: [ids[name] for name in classes] for video_id, classes in there.items()}


def _watched(source: Source, videos: set[str]) -> dict[str, Watched]:
    """Probabilities, attention and times of each video by one stream; a few bytes per sample."""
    return {
        sampled.video_id: Watched(source.scorer.stream(sampled.values), sampled.edges_s)
        for sampled in sampled_videos(source.store, FEATURES, source.samples)
        if sampled.video_id in videos
    }


def _check_times(options: DetectOptions, video_id: str, both: Sequence[Watched]) -> None:
    first, last = both[0].edges_s, both[-1].edges_s
    if first.shape != last.shape or not np.allclose(first, last, rtol=1e-6, atol=SAME_TIME_S):
        raise UsageError(
            f"--store: {video_id} has other times in {shown(options.store[1])} than in {shown(options.store[0])}. "
            "Precompute both with the same --stride or --fps."
        )


def _check_stale(options: DetectOptions) -> None:
    """Refuse to leave the scores of an earlier run beside new detections."""
    if options.labels is None and (Location.at(options.out) / METRICS).exists():
        raise UsageError(f"{shown(options.out)}: holds {METRICS}. Give --labels again, or choose another --out.")


def _write(
    options: DetectOptions, sources: Sequence[Source], found: Sequence[Detection], wanted: Sequence[str]
) -> None:
    """Write the detections in all forms; THUMOS14's has numbers of its own classes only, and no blanks in names."""
    about = {
        **{name: value for name, value in dataclasses.asdict(options).items() if name not in ("out", "labels")},
        "models_sha256": [sha256_of(url) for url in options.model],
        "fingerprints": [source.store.manifest.fingerprint for source in sources],
    }
    files = {
        "detections.json": results_json(found, made_by=about),
        detections_file.NAME: detections_file.detections_parquet(found, about),
    }
    if {*wanted} <= {*thumos14.CLASSES.values()} and not any(" " in one.video_id for one in found):
        files["detections.txt"] = thumos14.detections_text(found).encode()
    out = Location.at(options.out)
    for name, content in files.items():
        (out / name).write_atomic(content)


def _write_recognition(
    options: DetectOptions,
    sources: Sequence[Source],
    truth: Mapping[str, list[int]],
    scores: Mapping[str, Sequence[np.ndarray]],
) -> None:
    """Write scores and metrics of recognition for each stream and the fused ones."""
    names, video_ids = sources[0].model.class_names, sorted(truth)
    methods = {"tsrnet": sources[0].scorer.definition}
    if len(sources) > 1:
        fused = f"θ · stream1 + (1 − θ) · stream2, θ = {options.theta:g}"
        methods = {f"stream{i}": source.scorer.definition for i, source in enumerate(sources, 1)} | {"fused": fused}
    by_method = {
        name: np.array([scores[one][place] for one in video_ids], np.float64) for place, name in enumerate(methods)
    }
    table = Scores(video_ids, class_mask([truth[one] for one in video_ids], len(names)), by_method)
    metrics = {
        "options": dataclasses.asdict(options),
        "store": {"url": sources[0].store.url, "fingerprint": sources[0].store.manifest.fingerprint},
        "split": {**split_record(str(options.labels)), "videos": len(video_ids)},
        **figures(table, methods, names),
    }
    out = Location.at(options.out)
    (out / scores_file.NAME).write_atomic(scores_parquet(table, sources[0].store.manifest, names))
    (out / METRICS).write_atomic(json.dumps(metrics, indent=1, ensure_ascii=False).encode())
    for line in metrics_table(metrics):
        log.info("%s", line)
