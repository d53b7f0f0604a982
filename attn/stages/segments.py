"""Segments of an untrimmed video from its attention weights: when each class happens.

    w_i^c = a_i s_c for a stream,    w̄_i^c = θ w_{i,RGB}^c + (1 − θ) w_{i,Flow}^c

Source: Zhang et al. 2019, section on temporal detection; smoothing and the form of the score from UntrimmedNet
(wanglimin/UntrimmedNet, `thumos_detection.m`).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from attn.eval.temporal import Spans, non_maximum_suppression

VIDEO_SHARE = 0.2
"""Weight of the score of the whole video in the score of a segment."""
NMS_TIOU = 0.5


class Stream(NamedTuple):
    """Output of the network of one stream for a video.

    Attributes:
        scores: s, probabilities of the classes.
        attention: a, weights of the samples.
    """

    scores: Float[np.ndarray, "cls"]
    attention: Float[np.ndarray, "sample"]


class Found(NamedTuple):
    """Segment of a class in a video."""

    cls: int
    start_s: float
    end_s: float
    score: float


@dataclasses.dataclass(frozen=True)
class SegmentRule:
    """How segments follow from class probabilities and attention weights.

    Attributes:
        theta: θ, weight of the first of two streams; not used with one.
        class_threshold: classes with a fused probability s_c of at most this have no segments.
        relative_threshold: samples with a weight w̄ above this share of the video's largest one are in a segment.
            Absolute thresholds would depend on the number of samples.
        smoothing: `next` averages each weight with the following one before the threshold.
        score: `peak` is s_c · mean of w̄ / max w̄ over the segment + 0.2 s_c, in [0, 1.2] for any number of samples.
            `density` has the mean of w̄ n as its first term, which depends on how peaked the attention is.
        per_stream: segments of each stream on its own. Non-maximum suppression at a tIoU of 0.5 keeps the best ones.
    """

    theta: float = 0.5
    class_threshold: float = 0.1
    relative_threshold: float = 0.5
    smoothing: Literal["none", "next"] = "none"
    score: Literal["peak", "density"] = "peak"
    per_stream: bool = False

    def fused_scores(self, streams: Sequence[Stream]) -> Float[np.ndarray, "cls"]:
        """Class probabilities of the video: θ s_RGB + (1 − θ) s_Flow, or those of the only stream."""
        return np.sum([weight * one.scores for weight, one in self._weighted(streams)], axis=0)

    def segments(self, streams: Sequence[Stream], edges_s: Float[np.ndarray, "edge"]) -> list[Found]:
        """Segments of a video, by class and start.

        Args:
            streams: one or two streams with the same samples.
            edges_s: time of each sample, and then the end of the video, in seconds. Samples may repeat a time.
        """
        wanted = np.flatnonzero(self.fused_scores(streams) > self.class_threshold).tolist()
        if not self.per_stream or len(streams) == 1:
            return list(self._of(self._weighted(streams), edges_s, wanted))
        found = [one for stream in streams for one in self._of([(1.0, stream)], edges_s, wanted)]
        spans = Spans(*(np.array([getattr(one, name) for one in found]) for name in ("cls", "start_s", "end_s")))
        kept = non_maximum_suppression(spans, np.array([one.score for one in found]), tiou=NMS_TIOU)
        return sorted(one for one, keep in zip(found, kept, strict=True) if keep)

    def _weighted(self, streams: Sequence[Stream]) -> list[tuple[float, Stream]]:
        weights = (1.0,) if len(streams) == 1 else (self.theta, 1 - self.theta)
        return list(zip(weights, streams, strict=True))

    def _of(
        self, weighted: Sequence[tuple[float, Stream]], edges_s: np.ndarray, classes: Sequence[int]
    ) -> Iterator[Found]:
        for cls in classes:
            score = float(sum(weight * one.scores[cls] for weight, one in weighted))
            fused = np.sum([weight * one.scores[cls] * one.attention for weight, one in weighted], axis=0)
            values = self._smoothed(fused.astype(np.float64))
            highest = values.max()
            if not highest > 0:
                continue
            scale = 1 / highest if self.score == "peak" else len(values) / score
            for start, stop in runs(values > self.relative_threshold * highest):
                inside = score * float(values[start:stop].mean() * scale)
                if edges_s[stop] > edges_s[start]:
                    yield Found(cls, float(edges_s[start]), float(edges_s[stop]), inside + VIDEO_SHARE * score)

    def _smoothed(self, values: Float[np.ndarray, "sample"]) -> Float[np.ndarray, "sample"]:
        if self.smoothing == "none":
            return values
        return np.append((values[:-1] + values[1:]) / 2, values[-1:])


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and last index + 1 of each run of true elements.

    Args:
        mask: bool [sample].
    """
    steps = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True))
