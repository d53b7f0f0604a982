"""Per-class calibration of video scores by unlabelled videos: each class is measured against its own usual score.

    score'(V, c) = (score(V, c) − mean_c) / std_c        mean and standard deviation over the unlabelled videos

Energies and logits compare classes by magnitude. A class whose maps or logits are systematically stronger in videos
than in the Web images it was learnt from wins too often; its own mean and spread in videos take that away. No label is
used. The price is a supposition: classes are roughly balanced among the unlabelled videos, since the mean of a class
that many of them show counts its own videos as usual, and is set too high.

Measured, top-1 in %, of a CNN of Web photographs of 3 sports on 360 UCF101 clips; calibrated on one half of the clips
and tested on the other, both ways; 2:1 and 5:1 cut each class in turn to a half and to a fifth:

    calibrating videos          none   balanced   2:1    5:1   one class missing
    CNN average                 53.3     77.2     76.1   74.7        72.1
    UnAtt                       53.6     72.5     72.5   71.7        70.6
    CNN average, adapted CNN    72.8     71.1     71.4   71.1        70.0
    UnAtt, adapted CNN          69.4     68.6     69.0   69.0        68.2

It repairs what re-estimated BatchNorm statistics (the adapted CNN) repair too, and adds nothing to them. If the tested
videos are as unbalanced as the calibrating ones, here the same videos, it costs more:

    CNN average                 53.4              75.2   69.0        62.4
    CNN average, adapted CNN    71.1              69.5   65.7        60.3

Scores drawn at random without any shift (`bench/calibration.py`; half of the classes cut, one missing) lose more the
fewer the classes: 3 classes 86.8 → 86.9, 86.0, 83.3, 79.2; 10 classes 67.6 → 67.6, 67.0, 65.5, 66.8; 50 classes 41.6 →
41.6, 41.5, 41.4, 41.6.

The late-fused scores of a majority vote are left out: each video averages other frames, so that a calibrated largest
entry is not the class of most votes any more. On these clips they gain as much (54.2 → 75.8), but the average of all
frames gains it too.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from attn.errors import UsageError

# Rounding of float32 scores that are all the same leaves a spread of about 1e-7 of them.
SMALLEST_SPREAD = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """Mean and standard deviation of the scores of each class over unlabelled videos.

    Attributes:
        mean: in the unit of the scores.
        std: in the unit of the scores, above 0. A class that scores every video alike, to a millionth, has 1: its
            scores are only moved, so that a class without any attention is neither preferred nor blown up.
        videos: how many were measured.
    """

    mean: Float[np.ndarray, "cls"]
    std: Float[np.ndarray, "cls"]
    videos: int

    @classmethod
    def fit(cls, scores: Float[np.ndarray, "video cls"]) -> "Calibration":
        """Statistics of the scores of one method.

        Raises:
            UsageError: fewer videos than classes.
        """
        check_enough(*scores.shape, where="calibration")
        scores = scores.astype(np.float64)
        std = scores.std(axis=0)
        alike = std <= SMALLEST_SPREAD * np.abs(scores).max(axis=0)
        return cls(scores.mean(axis=0), np.where(alike, 1.0, std), len(scores))

    def apply(self, scores: Float[np.ndarray, "*video cls"]) -> Float[np.ndarray, "*video cls"]:
        """Scores of the same method, in standard deviations above the usual score of the class."""
        return (scores - self.mean) / self.std

    def as_record(self) -> dict[str, Any]:
        """In JSON types; `from_record` reads it back to the last bit."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist(), "videos": self.videos}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Calibration":
        """Calibration from a record of `as_record`, perhaps from a file of another user.

        Raises:
            ValueError: it is not a calibration; the message says why.
        """
        try:
            mean, std = (np.array(record[name], np.float64) for name in ("mean", "std"))
            videos = int(record["videos"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a calibration ({error!r})") from error
        if mean.ndim != 1 or mean.shape != std.shape:
            raise ValueError(f"a calibration of {mean.shape} means and {std.shape} standard deviations")
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ValueError("a calibration whose means are not finite or whose standard deviations are not above 0")
        return cls(mean, std, videos)


def check_enough(videos: int, classes: int, *, where: str) -> None:
    """Refuses to calibrate on so few videos that some class cannot be among them.

    Args:
        videos: that calibrate.
        classes: of the scores.
        where: what to call the videos in the message.

    Raises:
        UsageError: fewer videos than classes.
    """
    if videos < classes:
        raise UsageError(f"{where}: {videos} videos for {classes} classes. Give more videos, of all classes.")
