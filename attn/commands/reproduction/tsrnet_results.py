"""Figures of TSRNet's tables: recognition and detection of each network, beside two lower bounds of detection.

The bounds know the classes of a test video. `whole` detects each class in the whole video, `random` in segments of
random place and length.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from attn.commands.evaluate_detection import evaluated, with_mean
from attn.commands.evaluate_detection_files import read_truth
from attn.commands.evaluate_detection_inputs import Inputs, read_inputs
from attn.commands.evaluate_detection_options import EvaluateDetectionOptions
from attn.commands.reproduction.cell_scores import Runs, figure_of, paired
from attn.commands.reproduction.reproduce_options import TSRNET_VARIANTS, TsrnetTablesOptions
from attn.commands.reproduction.tsrnet_data import UntrimmedVideos, described_training_set
from attn.commands.reproduction.tsrnet_steps import SPLIT, NetworkRun
from attn.datasets.activitynet import read_results, results_json
from attn.datasets.segments import Detection, GroundTruth
from attn.errors import UsageError
from attn.eval.detection_rules import RULES, Evaluator
from attn.eval.pooled import Figure, Run
from attn.eval.significance import percentile_interval
from attn.report.published import TSRNET_DETECTION, TSRNET_RECOGNITION
from attn.report.tsrnet_tables import method_name
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.storage.scores import NAME, read_scores

TIOUS = [round(0.1 * i, 1) for i in range(1, 10)]
WHOLE, RANDOM = "whole", "random"
METHODS = (
    *(WHOLE, RANDOM),
    *(method_name(variant, stream) for variant in TSRNET_VARIANTS for stream in ("rgb", "flow", "fused")),
)
_OF_VARIANTS = (("tsrnet_ce", "srnet"), ("tsrnet", "srnet"), ("srnet", "two_stream"))
_OF_BOUNDS = (("two_stream", RANDOM), ("srnet", RANDOM), ("srnet", WHOLE))
PAIRS = (
    *_OF_VARIANTS,
    *_OF_BOUNDS,
    *((method_name(one, at), method_name(other, at)) for at in ("flow", "fused") for one, other in _OF_VARIANTS),
    *((method_name(one, at), bound) for at in ("flow", "fused") for one, bound in _OF_BOUNDS),
    *((method_name(one, "fused"), method_name(one, at)) for one in TSRNET_VARIANTS for at in ("rgb", "flow")),
)
"""Differences of the tables: between variants of one stream, to the bounds, and of both streams to one."""
RANDOM_SETS, RANDOM_SEGMENTS = 3, 5
"""Number of sets of random detections, and of detections per class and video in each."""
FIGURE = "map_noninterpolated"
DETECTIONS = "detections"
"""Folder of the detections that are compared, in ActivityNet's form."""


def collect(
    options: TsrnetTablesOptions, videos: UntrimmedVideos, runs: Sequence[NetworkRun], failed: Mapping[str, str]
) -> dict[str, Any]:
    """Compute all figures of the tables, as JSON types; ours are between 0 and 1, the paper's in per cent.

    Args:
        options: resolved options.
        videos: the data set.
        runs: networks whose results were computed.
        failed: reason by name of the failed step.
    """
    scored = _scored(options, runs)
    truth = read_truth(videos.annotation, subset=videos.subset, meta=videos.meta)
    urls = _write_detections(options, truth, runs)
    evaluation = EvaluateDetectionOptions(
        tuple(f"{name}={url}" for name, url in urls.items()),
        videos.annotation,
        options.out,
        subset=videos.subset,
        meta=videos.meta,
    )
    detection, pairs = [], []
    inputs, names = read_inputs(evaluation), [f"{run.method}-{run.seed}" for run in runs]
    for evaluator in RULES:
        of_rule, of_pairs = _detection(inputs, evaluation, evaluator, names)
        detection += of_rule
        pairs += of_pairs
    return {
        "dataset": videos.name,
        "figure": FIGURE,
        "unit": "video",
        "seeds": list(options.seeds),
        "web_images": [],
        "training_set": described_training_set(videos),
        "methods": list(_recognition(options, scored)),
        "pairs": _recognition_pairs(options, scored),
        "tiou": TIOUS,
        "detection": detection,
        "detection_pairs": pairs,
        "paper_detection": list(TSRNET_DETECTION) if _as_in_paper(options) else None,
        "failed": dict(failed),
        "options": dataclasses.asdict(options),
    }


def _scored(options: TsrnetTablesOptions, runs: Sequence[NetworkRun]) -> dict[str, Runs]:
    """Scores of recognition by network and seed."""
    found: dict[str, Runs] = {}
    for run in runs:
        scores = read_scores(join(options.out, run.found, NAME))
        own = Run(scores.by_method["fused" if run.stream == "fused" else "tsrnet"], scores.positives, None)
        found.setdefault(run.method, {}).setdefault(SPLIT, {})[run.seed] = own
    return found


def _as_in_paper(options: TsrnetTablesOptions) -> bool:
    """Whether training and test videos are those of the paper."""
    return (options.dataset, options.training_set) == ("thumos14", "validation")


def _recognition(options: TsrnetTablesOptions, scored: Mapping[str, Runs]) -> Iterator[dict[str, Any]]:
    for method, by_split in scored.items():
        published = TSRNET_RECOGNITION.get(method) if _as_in_paper(options) else None
        one_class = all(run.has_one_class for run in by_split[SPLIT].values())
        share: Figure = "top_1" if one_class else "hit_1"
        yield {
            "backbone": str(options.backbone),
            "method": method,
            "splits": 1,
            "seeds": len(by_split[SPLIT]),
            "cells": len(by_split[SPLIT]),
            FIGURE: figure_of(by_split, FIGURE, "video"),
            share: figure_of(by_split, share, "video"),
            "paper": {} if published is None else {FIGURE: published},
        }


def _recognition_pairs(options: TsrnetTablesOptions, scored: Mapping[str, Runs]) -> list[dict[str, Any]]:
    return [
        {
            "backbone": str(options.backbone),
            "first": first,
            "second": second,
            **paired((scored[first], scored[second]), FIGURE, "video"),
        }
        for first, second in PAIRS
        if {first, second} <= scored.keys() and scored[first][SPLIT].keys() == scored[second][SPLIT].keys()
    ]


def _write_detections(options: TsrnetTablesOptions, truth: GroundTruth, runs: Sequence[NetworkRun]) -> dict[str, str]:
    """Write all detections of classes of the ground truth, and the bounds; return URLs by name `<method>-<seed>`."""
    named = {f"{run.method}-{run.seed}": _of_truth(options, truth, run) for run in runs}
    named |= {f"{WHOLE}-0": list(whole_videos(truth))}
    named |= {f"{RANDOM}-{seed}": list(random_segments(truth, seed)) for seed in range(RANDOM_SETS)}
    urls = {name: join(options.out, DETECTIONS, f"{name}.json") for name, found in named.items() if found}
    for name, url in urls.items():
        Location.at(url).write_atomic(results_json(named[name]))
    return urls


def _of_truth(options: TsrnetTablesOptions, truth: GroundTruth, run: NetworkRun) -> list[Detection]:
    """Detections of annotated classes in annotated videos, cut at the annotated length of the video."""
    lengths_s = truth.durations_s
    found = [
        one._replace(end_s=min(one.end_s, lengths_s.get(one.video_id, one.end_s)))
        for one in read_results(join(options.out, run.found, "detections.json"))
        if one.label in truth.class_names and one.video_id in truth.video_ids
    ]
    return [one for one in found if one.start_s < one.end_s]


def whole_videos(truth: GroundTruth) -> Iterator[Detection]:
    """Each class of a video as one detection of the whole video.

    Raises:
        UsageError: the length of a video is unknown.
    """
    for video_id, label in _classes_of(truth):
        yield Detection(video_id, label, 0.0, _length_s(truth, video_id), 1.0)


def random_segments(truth: GroundTruth, seed: int) -> Iterator[Detection]:
    """Each class of a video as a few detections with uniformly random ends and random scores.

    Raises:
        UsageError: the length of a video is unknown.
    """
    rng = np.random.default_rng(seed)
    for video_id, label in _classes_of(truth):
        for _ in range(RANDOM_SEGMENTS):
            start_s, end_s = np.sort(rng.uniform(0, _length_s(truth, video_id), 2)).tolist()
            yield Detection(video_id, label, start_s, end_s, float(rng.random()))


def _classes_of(truth: GroundTruth) -> list[tuple[str, str]]:
    return sorted({(one.video_id, one.label) for one in truth.segments})


def _length_s(truth: GroundTruth, video_id: str) -> float:
    if video_id not in truth.durations_s:
        raise UsageError(f"annotation: the length of {video_id} is missing. Add its duration.")
    return truth.durations_s[video_id]


Draws = tuple[np.ndarray, np.ndarray]
"""Mean average precision at each threshold, and their mean last; and that of each bootstrap draw."""


def _detection(
    inputs: Inputs, evaluation: EvaluateDetectionOptions, evaluator: Evaluator, names: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Means over seeds of the mAP of each method by one evaluator, and differences of methods.

    Args:
        inputs: detections and ground truth.
        evaluation: options of the evaluation.
        evaluator: name of the rule.
        names: `<method>-<seed>` of all networks; one without any detection is worth 0.
    """
    nothing = (np.zeros(len(TIOUS) + 1), np.zeros((evaluation.resamples, len(TIOUS) + 1)))
    found: dict[str, Draws] = dict.fromkeys(names, nothing)
    for name, (matches, draws) in evaluated(inputs, evaluation, TIOUS, evaluator).items():
        found[name] = with_mean(matches.mean_average_precisions(RULES[evaluator].ap)), draws
    by_method: dict[str, dict[str, Draws]] = {}
    for name, own in found.items():
        method, _, seed = name.rpartition("-")
        by_method.setdefault(method, {})[seed] = own
    about = {"evaluator": evaluator, "ap": RULES[evaluator].ap, "videos": inputs.num_annotated}
    rows = [
        {**about, "method": one, "seeds": len(by_method[one]), **_estimates(*_mean(by_method[one].values()))}
        for one in METHODS
        if one in by_method
    ]
    pairs = []
    for first, second in PAIRS:
        sides = [by_method.get(one, {}) for one in (first, second)]
        if second not in (WHOLE, RANDOM):  # a difference between other seeds would include that between trainings
            sides = [{seed: side[seed] for seed in sides[0].keys() & sides[1].keys()} for side in sides]
        if all(sides):
            (value, draws), (other, others) = (_mean(side.values()) for side in sides)
            pairs.append({**about, "first": first, "second": second, **_estimates(value - other, draws - others)})
    return rows, pairs


def _mean(runs: Iterable[Draws]) -> Draws:
    values, draws = zip(*runs, strict=True)
    return np.mean(values, axis=0), np.mean(draws, axis=0)


def _estimates(values: np.ndarray, draws: np.ndarray) -> dict[str, Any]:
    """Values at the thresholds, and their mean last, with 95 % intervals."""
    return {"map": values.tolist(), "intervals": [list(percentile_interval(column)) for column in draws.T]}
