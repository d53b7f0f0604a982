"""Evaluate detection: mean average precision of temporal detections by the published evaluators, with intervals.

Neither Ray nor torch is needed.
"""

import dataclasses
import json
import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from attn.commands.evaluate_detection_inputs import Inputs, parse_tious, read_inputs
from attn.commands.evaluate_detection_options import EvaluateDetectionOptions
from attn.errors import UsageError
from attn.eval.detection import Matches, match
from attn.eval.detection_rules import RULES, Evaluator
from attn.eval.metrics import ApKind
from attn.eval.significance import bootstrap_draws, percentile_interval
from attn.eval.summary import AP_DEFINITIONS
from attn.report.detection_table import detection_lines, detection_markdown
from attn.storage.location import Location
from attn.storage.writable import check_results_folder

log = logging.getLogger(__name__)

RECORD, TABLE = "detection.json", "detection.md"


def evaluate_detection(options: EvaluateDetectionOptions) -> int:
    """Write `detection.json` and `detection.md`; return the exit code.

    Raises:
        UsageError: flags or files are invalid; nothing was written.
    """
    check_results_folder(options.out)
    tious = _checked(options)
    inputs = read_inputs(options)
    for warning in inputs.warnings:
        log.warning("%s", warning)
    record = {
        "options": dataclasses.asdict(options),
        "ground_truth": inputs.about,
        "files": inputs.files,
        "warnings": inputs.warnings,
        "tiou": tious,
        "intervals": f"95 % percentile bootstrap over videos, {options.resamples} draws, seed {options.seed}"
        if options.resamples
        else None,
        **figures(inputs, options, tious),
    }
    out = Location.at(options.out)
    (out / RECORD).write_atomic(json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False).encode())
    (out / TABLE).write_atomic(detection_markdown(record).encode())
    for line in detection_lines(record):
        log.info("%s", line)
    return 0


def _checked(options: EvaluateDetectionOptions) -> list[float]:
    """Thresholds, after a check of the other flags."""
    if not options.evaluator:
        raise UsageError("--evaluator: empty. Name at least one of activitynet, thumos14, wtalc.")
    if options.resamples < 0:
        raise UsageError(f"--resamples {options.resamples}: must be 0 or more.")
    if options.step_s is not None and not (0 < options.step_s < math.inf and "wtalc" in options.evaluator):
        raise UsageError(f"--step-s {options.step_s:g}: must be above 0, and needs --evaluator wtalc.")
    return parse_tious(options.tiou)


def figures(inputs: Inputs, options: EvaluateDetectionOptions, tious: list[float]) -> dict[str, Any]:
    """Figures of each evaluator and file, and paired differences from the first file."""
    results, paired = [], []
    for evaluator in dict.fromkeys(options.evaluator):
        kind: ApKind = options.ap or RULES[evaluator].ap
        draws = {}
        for name, (matches, of_draws) in evaluated(inputs, options, tious, evaluator).items():
            draws[name] = of_draws
            results.append(
                {**_about(evaluator, kind, options), "detections": name, **_result(matches, kind, inputs, of_draws)}
            )
        first, *others = draws
        for other in others:
            values = {one["detections"]: one for one in results if one["evaluator"] == evaluator}
            paired.append(_pair(values[other], values[first], draws[other] - draws[first]))
    return {"results": results, "paired": paired}


def evaluated(
    inputs: Inputs, options: EvaluateDetectionOptions, tious: list[float], evaluator: Evaluator
) -> dict[str, tuple[Matches, np.ndarray]]:
    """Matches of each file by one evaluator, and the mean average precisions of its bootstrap draws, see `_draws`.

    The draws are the same videos for all files.
    """
    kind: ApKind = options.ap or RULES[evaluator].ap
    found: dict[str, tuple[Matches, np.ndarray]] = {}
    for name, detections in inputs.detections.items():
        matches = match(
            detections,
            inputs.truth,
            evaluator=evaluator,
            tious=tious,
            num_classes=len(inputs.class_names),
            ambiguous=inputs.ambiguous,
            step_s=options.step_s if evaluator == "wtalc" else None,
        )
        found[name] = matches, _draws(matches, kind, inputs, options, evaluator)
    return found


def _about(evaluator: Evaluator, kind: ApKind, options: EvaluateDetectionOptions) -> dict[str, Any]:
    rule = RULES[evaluator]
    used = options.ambiguous and rule.ambiguous
    return {
        "evaluator": evaluator,
        "rule": rule.text,
        "ambiguous": used or "unused",
        "step_s": options.step_s if evaluator == "wtalc" else None,
        "ap": kind,
        "ap_definition": AP_DEFINITIONS[kind],
    }


def _draws(
    matches: Matches, kind: ApKind, inputs: Inputs, options: EvaluateDetectionOptions, evaluator: Evaluator
) -> np.ndarray:
    """Mean average precision at each threshold, and their mean, of each bootstrap draw of videos."""
    counted = inputs.num_annotated if RULES[evaluator].only_annotated else inputs.num_videos
    return bootstrap_draws(
        lambda videos: with_mean(matches.mean_average_precisions(kind, videos)),
        counted,
        resamples=options.resamples,
        seed=options.seed,
    )


def with_mean(values: np.ndarray) -> np.ndarray:
    """Values at the thresholds, and then their mean."""
    return np.append(values, values.mean())


def _result(matches: Matches, kind: ApKind, inputs: Inputs, draws: np.ndarray) -> dict[str, Any]:
    ap = matches.average_precisions(kind)
    present = ~np.isnan(ap[0])
    return {
        "videos": inputs.num_annotated,
        "segments": len(inputs.truth.video),
        "counted_detections": len(matches.video),
        "removed_detections": matches.removed,
        **_estimates(with_mean(matches.mean_average_precisions(kind)), draws),
        "classes": int(present.sum()),
        "per_class": {name: ap[:, i].tolist() if present[i] else None for i, name in enumerate(inputs.class_names)},
    }


def _estimates(values: np.ndarray, draws: np.ndarray) -> dict[str, Any]:
    """Values at the thresholds and their mean, with intervals if there are draws."""
    intervals = [list(percentile_interval(column)) for column in draws.T] if len(draws) else [None] * len(values)
    return {
        "map": values[:-1].tolist(),
        "map_intervals": intervals[:-1],
        "average_map": float(values[-1]),
        "average_map_interval": intervals[-1],
    }


def _pair(first: Mapping[str, Any], second: Mapping[str, Any], draws: np.ndarray) -> dict[str, Any]:
    """Difference of two files by one evaluator."""
    values = np.array([*first["map"], first["average_map"]]) - np.array([*second["map"], second["average_map"]])
    about = {name: first[name] for name in ("evaluator", "ap")}
    return {**about, "first": first["detections"], "second": second["detections"], **_estimates(values, draws)}
