#!/usr/bin/env python3
"""Simulation of per-class calibration with unbalanced unlabelled videos.

The table has one row per number of classes and shift, with the top-1 accuracy in % of uncalibrated scores and of scores
calibrated on different sets of videos: balanced; the first half of the classes with a half or a fifth of the videos of
the others; the first class missing; the first half missing; only the first class. The test videos are separate and
balanced.

Scores are normal with standard deviation 1, and higher by 2 for the true class. A shift multiplies the scores of a
class by exp(0.3 · shift · normal) and adds shift · normal. It takes half a minute, without Ray:
`PYTHONPATH=. python3 bench/calibration.py`.
"""

import numpy as np

from attn.eval.calibration import Calibration
from attn.eval.metrics import top_k_accuracy

REPEATS = 20
VIDEOS_PER_CLASS = 200
# Calibration videos per class, relative to the largest class: first class, rest of the first half, other classes.
SHARES = {
    "balanced": (1, 1, 1),
    "2:1": (1 / 2, 1 / 2, 1),
    "5:1": (1 / 5, 1 / 5, 1),
    "one missing": (0, 1, 1),
    "half missing": (0, 0, 1),
    "only one": (1, 0, 0),
}
CLASSES, SHIFTS = (3, 10, 50), (0, 1, 2)


def main() -> None:
    print("| classes | shift | plain | " + " | ".join(SHARES) + " |\n" + "|---" * (3 + len(SHARES)) + "|")
    for num_classes in CLASSES:
        for shift in SHIFTS:
            found = np.mean([measure(num_classes, shift, seed) for seed in range(REPEATS)], axis=0)
            print(f"| {num_classes} | {shift} | " + " | ".join(f"{100 * value:.1f}" for value in found) + " |")


def measure(num_classes: int, shift: float, seed: int) -> list[float]:
    """Accuracy of uncalibrated scores, and of scores calibrated on each set of videos."""
    rng = np.random.default_rng(seed)
    scale, offset = np.exp(0.3 * shift * rng.normal(size=num_classes)), shift * rng.normal(size=num_classes)
    labels = np.repeat(np.arange(num_classes), VIDEOS_PER_CLASS)
    tested, known = (draw(labels, num_classes, rng) * scale + offset for _ in range(2))
    found = [top_k_accuracy(tested, labels)]
    for shares in SHARES.values():
        calibration = Calibration.fit(known[chosen(labels, num_classes, shares)])
        found.append(top_k_accuracy(calibration.apply(tested), labels))
    return found


def draw(labels: np.ndarray, num_classes: int, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(len(labels), num_classes)) + 2 * np.eye(num_classes)[labels]


def chosen(labels: np.ndarray, num_classes: int, shares: tuple[float, float, float]) -> np.ndarray:
    """Mask of the first videos of each class, in proportion to its share."""
    first, low, high = shares
    half = max(1, num_classes // 2)
    of_class = np.array([first, *[low] * (half - 1), *[high] * (num_classes - half)])
    return np.arange(len(labels)) % VIDEOS_PER_CLASS < np.round(of_class * VIDEOS_PER_CLASS)[labels]


if __name__ == "__main__":
    main()
