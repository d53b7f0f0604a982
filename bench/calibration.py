#!/usr/bin/env python3
"""What does per-class calibration do when the unlabelled videos are not balanced?

Prints one row per number of classes and shift: top-1 in % of plain scores, and of scores calibrated by videos of which
every class has as many; the first half of the classes a half or a fifth of the others; the first class none; the first
half none; only the first class any. The tested videos are others, and balanced.

Scores are normal, of spread 1, the true class's 2 higher; a shift multiplies a class's by exp(0.3 · shift · normal) and
adds shift · normal. Takes half a minute, without Ray: `PYTHONPATH=. python3 bench/calibration.py`.
"""

import numpy as np

from attn.eval.calibration import Calibration
from attn.eval.metrics import top_k_accuracy

REPEATS = 20
VIDEOS_PER_CLASS = 200
# Videos per calibrating class, as a share of the largest: of the first class, the rest of the first half, the others.
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
    """Accuracy of plain scores, then as calibrated by each kind of videos."""
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
    """Rows of the first videos of each class, as many as its share."""
    first, low, high = shares
    half = max(1, num_classes // 2)
    of_class = np.array([first, *[low] * (half - 1), *[high] * (num_classes - half)])
    return np.arange(len(labels)) % VIDEOS_PER_CLASS < np.round(of_class * VIDEOS_PER_CLASS)[labels]


if __name__ == "__main__":
    main()
