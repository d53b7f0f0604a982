"""Calibration of video scores per class, with the mean and standard deviation over unlabelled videos.

    score'(V, c) = (score(V, c) − mean_c) / std_c        mean and standard deviation over the unlabelled videos

Energies and logits compare classes by magnitude. If the maps or logits of a class are systematically stronger in videos
than in the Web images used for training, the class is predicted too often. Standardising its scores over videos
corrects this without labels. The price is an assumption: the classes are roughly balanced among the unlabelled videos.
Otherwise the mean of a frequent class is too high, because it includes many videos of that class.

Measured: top-1 in % of a CNN trained on Web photographs of 3 sports, on 360 UCF101 clips. It was calibrated on one half
of the clips and tested on the other, and vice versa. 2:1 and 5:1: each class in turn is reduced to a half and a fifth.

    calibrating videos          none   balanced   2:1    5:1   one class missing
    CNN average                 53.3     77.2     76.1   74.7        72.1
    UnAtt                       53.6     72.5     72.5   71.7        70.6
    CNN average, adapted CNN    72.8     71.1     71.4   71.1        70.0
    UnAtt, adapted CNN          69.4     68.6     69.0   69.0        68.2

Calibration corrects the same errors as re-estimated BatchNorm statistics (the adapted CNN), and adds nothing to them.
It costs more accuracy if the test videos are as unbalanced as the calibration videos (here the same videos):

    CNN average                 53.4              75.2   69.0        62.4
    CNN average, adapted CNN    71.1              69.5   65.7        60.3

Random scores without any shift (`bench/calibration.py`; half of the classes reduced, one missing) lose more with fewer
classes: 3 classes 86.8 → 86.9, 86.0, 83.3, 79.2; 10 classes 67.6 → 67.6, 67.0, 65.5, 66.8; 50 classes 41.6 → 41.6,
41.5, 41.4, 41.6.

Late-fused scores of a majority vote are not calibrated: each video averages different frames, so after calibration the
largest entry would not always be the class with the most votes. On these clips they gain as much (54.2 → 75.8), but so
does the average of all frames.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from attn.errors import UsageError

# Rounding errors of equal float32 scores have a relative standard deviation of about 1e-7.
SMALLEST_SPREAD = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """Mean and standard deviation of the scores of each class over unlabelled videos.

    Attributes:
        mean: mean per class, in the unit of the scores.
        std: standard deviation per class, in the unit of the scores, above 0. It is 1 for a class whose scores are
            equal for all videos (up to a factor of 1e-6): they are only shifted, so that a class without any attention
            is neither preferred nor amplified.
        videos: number of videos.
    """

    mean: Float[np.ndarray, "cls"]
    std: Float[np.ndarray, "cls"]
    videos: int

    @classmethod
    def fit(cls, scores: Float[np.ndarray, "video cls"]) -> "Calibration":
        """Compute the statistics of one method's scores.

        Raises:
            UsageError: there are fewer videos than classes.
        """
        check_enough(*scores.shape, where="calibration")
        scores = scores.astype(np.float64)
        std = scores.std(axis=0)
        alike = std <= SMALLEST_SPREAD * np.abs(scores).max(axis=0)
        return cls(scores.mean(axis=0), np.where(alike, 1.0, std), len(scores))

    def apply(self, scores: Float[np.ndarray, "*video cls"]) -> Float[np.ndarray, "*video cls"]:
        """Calibrate scores of the same method: standard deviations above the mean of the class."""
        return (scores - self.mean) / self.std

    def as_record(self) -> dict[str, Any]:
        """Convert to JSON types, losslessly; `from_record` is the inverse."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist(), "videos": self.videos}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Calibration":
        """Build a calibration from the result of `as_record`, which may come from an untrusted file.

        Raises:
            ValueError: the record is not a valid calibration; the message gives the reason.
        """
        try:
            mean, std = (np.array(record[name], np.float64) for name in ("mean", "std"))
            videos = int(record["videos"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a calibration ({error!r})") from error
        if mean.ndim != 1 or mean.shape != std.shape:
            raise ValueError(f"calibration means have shape {mean.shape}, but standard deviations {std.shape}")
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ValueError("calibration means must be finite, and standard deviations finite and above 0")
        return cls(mean, std, videos)


def check_enough(videos: int, classes: int, *, where: str) -> None:
    """Check that there are at least as many calibration videos as classes.

    Args:
        videos: number of calibration videos.
        classes: number of classes.
        where: name of the videos, for the message.

    Raises:
        UsageError: there are fewer videos than classes.
    """
    if videos < classes:
        raise UsageError(f"{where}: {videos} videos for {classes} classes. Give more videos, of all classes.")
