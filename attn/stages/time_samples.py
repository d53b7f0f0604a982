"""Samples of a video in time: a fixed number of its stored frames, however long it is."""

from typing import Literal

import numpy as np
from jaxtyping import Int

NumSamples = int | Literal["all"]


def uniform_samples(num_frames: int, count: NumSamples) -> Int[np.ndarray, "sample"]:
    """Rows of a uniform grid over a video; short videos repeat rows.

        row j = ⌊j N / n⌋ for j = 0 … n − 1

    Args:
        num_frames: N, stored frames of the video; at least one.
        count: n, or `all` for every frame.

    Source: public code of STPN (bellos1203/STPN).
    """
    return _edges(num_frames, count)[:-1]


def perturbed_samples(num_frames: int, count: NumSamples, rng: np.random.Generator) -> Int[np.ndarray, "sample"]:
    """Rows at random places of the cells of the uniform grid, for training.

        ⌊j N / n⌋ ≤ row j < ⌊(j + 1) N / n⌋

    Differs: STPN's cells include the first row of the next one.
    """
    edges = _edges(num_frames, count)
    return rng.integers(edges[:-1], np.maximum(edges[1:], edges[:-1] + 1))


def _edges(num_frames: int, count: NumSamples) -> Int[np.ndarray, "edge"]:
    number = num_frames if count == "all" else count
    return np.arange(number + 1) * num_frames // number
