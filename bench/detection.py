#!/usr/bin/env python3
"""Benchmark of the evaluation of detections: detections per second, relative to loops over one detection at a time.

The two loops apply ActivityNet's rule. `published` finds the segments of each detection's video in a pandas data frame,
as the published evaluator does; `lean` finds them in a dict and is otherwise NumPy. Ours is `match` by that rule and
the average precision. All give equal mAP, which is checked. Each repeat times them one after the other, and ratios are
those of neighbours. The published loop gets only a part of the detections (`--published`), evenly spread; its time per
detection does not depend on their number.

It runs without Ray, torch or data: `OMP_NUM_THREADS=1 python bench/detection.py`.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from attn.eval.detection import match
from attn.eval.detection_matching import Detections, Segments, ranked
from attn.eval.metrics import average_precision
from attn.eval.temporal import temporal_iou

TIOUS = [i / 10 for i in range(1, 10)]
VIDEOS, CLASSES, SEGMENTS = 212, 20, 3358  # as in the test set of THUMOS14


def main() -> None:
    flags = parse()
    print(f"numpy {np.__version__}, {platform.machine()}; {len(TIOUS)} thresholds, {flags.repeats} repeats in turn\n")
    print("detections | ours, per second | lean loop | published loop | ours / lean | ours / published")
    for count in flags.detections:
        detections, truth = scene(count)
        few = detections.take(np.arange(0, count, max(1, count // flags.published)))
        ways: dict[str, Callable[[], np.ndarray]] = {
            "ours": lambda detections=detections, truth=truth: ours(detections, truth),
            "lean": lambda detections=detections, truth=truth: loop(detections, truth, lean_candidates(truth)),
            "published": lambda few=few, truth=truth: loop(few, truth, published_candidates(truth)),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(flags.repeats):
            found = {}
            for name, way in ways.items():
                started_s = time.perf_counter()
                found[name] = way()
                rates[name].append(
                    (len(few.video) if name == "published" else count) / (time.perf_counter() - started_s)
                )
            np.testing.assert_allclose(found["ours"], found["lean"], atol=1e-12)
            np.testing.assert_allclose(ours(few, truth), found["published"], atol=1e-12)
        medians = [f"{statistics.median(rates[name]):,.0f}" for name in ways]
        print(" | ".join([f"{count:,}", *medians, *(ratio(rates, name) for name in ("lean", "published"))]))


def ratio(rates: dict[str, list[float]], name: str) -> str:
    """Median and range of the ratios of neighbours."""
    ratios = [mine / other for mine, other in zip(rates["ours"], rates[name], strict=True)]
    return f"{statistics.median(ratios):,.0f} [{min(ratios):,.0f}, {max(ratios):,.0f}]"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detections", nargs="+", type=int, default=[10_000, 100_000], help="numbers of detections")
    parser.add_argument("--published", type=int, default=2000, help="number of detections for the published loop")
    parser.add_argument("--repeats", type=int, default=3, help="number of repeats")
    return parser.parse_args()


def scene(count: int, seed: int = 0) -> tuple[Detections, Segments]:
    """Random segments, one class per video, and detections of which two thirds are near a segment."""
    rng = np.random.default_rng(seed)
    own = rng.integers(CLASSES, size=VIDEOS)
    video, start_s = rng.integers(VIDEOS, size=SEGMENTS), rng.uniform(0, 220, SEGMENTS)
    truth = Segments(video, own[video], start_s, start_s + rng.gamma(2, 2, SEGMENTS))
    of = rng.integers(SEGMENTS, size=count)
    near, right_class = rng.random(count) < 2 / 3, rng.random(count) < 0.9
    label = np.where(right_class, truth.label[of], rng.integers(CLASSES, size=count))
    start_s = np.where(near, start_s[of] + rng.normal(0, 2, count), rng.uniform(0, 220, count))
    return Detections(video[of], label, start_s, start_s + rng.gamma(2, 2, count), rng.normal(size=count)), truth


def ours(detections: Detections, truth: Segments) -> np.ndarray:
    found = match(detections, truth, evaluator="activitynet", tious=TIOUS, num_classes=CLASSES)
    return found.mean_average_precisions("interpolated")


Candidates = Callable[[int, int], tuple[np.ndarray, np.ndarray] | None]
"""Segments [n, 2] of a class and a video, and their numbers."""


def loop(detections: Detections, truth: Segments, candidates: Candidates) -> np.ndarray:
    """mAP by ActivityNet's rule, one detection after the other."""
    by_class = ranked(detections)
    taken = np.zeros((len(TIOUS), len(truth.video)), bool)
    right = np.zeros((len(TIOUS), len(by_class.video)), bool)
    for i, (video, label, *span) in enumerate(zip(*by_class[:4], strict=True)):
        found = candidates(label, video)
        if found is None:
            continue
        segments, numbers = found
        tiou = temporal_iou(np.array(span), segments)
        order = np.argsort(-tiou, kind="stable")
        for k, threshold in enumerate(TIOUS):
            for j in order:
                if tiou[j] < threshold:
                    break
                if not taken[k, numbers[j]]:
                    taken[k, numbers[j]] = right[k, i] = True
                    break
    return np.array([mean_ap(by_class, row, truth) for row in right])


def mean_ap(by_class: Detections, right: np.ndarray, truth: Segments) -> float:
    npos = np.bincount(truth.label, minlength=CLASSES)
    masks = [by_class.label == label for label in np.flatnonzero(npos)]
    pairs = zip(masks, npos[npos > 0], strict=True)
    return float(
        np.mean(
            [
                average_precision(by_class.score[mask], right[mask], kind="interpolated", num_positives=int(total))
                for mask, total in pairs
            ]
        )
    )


def lean_candidates(truth: Segments) -> Candidates:
    groups: dict[tuple[int, int], list[int]] = {}
    for i, key in enumerate(zip(truth.label.tolist(), truth.video.tolist(), strict=True)):
        groups.setdefault(key, []).append(i)
    spans = np.stack([truth.start_s, truth.end_s], axis=1)
    ready = {key: (spans[numbers], np.array(numbers)) for key, numbers in groups.items()}
    return lambda label, video: ready.get((label, video))


def published_candidates(truth: Segments) -> Candidates:
    frame = pd.DataFrame(truth._asdict())
    of_class = {label: group.groupby("video") for label, group in frame.groupby("label")}

    def candidates(label: int, video: int) -> tuple[np.ndarray, np.ndarray] | None:
        try:
            group = of_class[label].get_group(video).reset_index()
        except KeyError:
            return None
        return group[["start_s", "end_s"]].to_numpy(), group["index"].to_numpy()

    return candidates


if __name__ == "__main__":
    main()
