"""The rows of one video in, one score per class out: a method is a small class.

A method says which columns it reads, what it computes (recorded beside every figure) and under which name its scores
are kept. To add one, write the class and have `attn.engine.evaluate_methods` make it.
"""

import dataclasses
from typing import Protocol

import numpy as np
import torch

from attn.eval.calibration import Calibration
from attn.eval.fusion import frame_average, late_fusion, softmax
from attn.maps.energy import video_scores, window_energy
from attn.models.energynet import EnergyNet
from attn.schema import FEATURES, LOGITS, MAPS
from attn.stages.energy_validation import frame_energies
from attn.stages.svm import LinearSvm
from attn.storage.store import VideoRows

# Maps are widened to float32 for the sums: so many frames at a time bound the memory of a long video.
FRAMES_AT_ONCE = 256

CALIBRATED = "_calibrated"
"""End of the names of calibrated scores."""


class Scorer(Protocol):
    """A method of scoring videos.

    Attributes:
        name: what its scores are called in tables.
        columns: columns of the store it reads.
        definition: what it computes, in one phrase.
        calibrated: whether `evaluate --calibrate` gives it a second set of scores. Scores of late fusion have none:
            each video averages other frames, those of its majority class (`attn.eval.calibration`).
    """

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def definition(self) -> str: ...

    @property
    def calibrated(self) -> bool: ...

    def __call__(self, rows: VideoRows) -> np.ndarray:
        """Scores [cls] of one video."""
        ...


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """Scores of another method, calibrated per class.

    Args:
        scorer: the other method.
        calibration: statistics of its scores.
    """

    scorer: Scorer
    calibration: Calibration
    calibrated = False

    @property
    def name(self) -> str:
        return self.scorer.name + CALIBRATED

    @property
    def columns(self) -> tuple[str, ...]:
        return self.scorer.columns

    @property
    def definition(self) -> str:
        return (
            f"{self.scorer.definition}; minus its mean of the class, over its standard deviation of the class, over "
            f"{self.calibration.videos} unlabelled videos"
        )

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return self.calibration.apply(self.scorer(rows))


@dataclasses.dataclass(frozen=True)
class CnnVote:
    """The CNN's own classes, by majority vote over the frames.

    Source: Li et al. 2017, section 4.3.
    """

    name = "cnn"
    columns = (LOGITS,)
    definition = "majority vote of frames; mean logits of the frames of the majority class"
    calibrated = False

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return late_fusion(rows.logits)


@dataclasses.dataclass(frozen=True)
class CnnSoftmaxVote:
    """`CnnVote` with probabilities in place of logits, which makes the scores of different videos comparable."""

    name = "cnn_softmax"
    columns = (LOGITS,)
    definition = "majority vote of frames; mean probabilities of the frames of the majority class"
    calibrated = False

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return late_fusion(softmax(rows.logits))


@dataclasses.dataclass(frozen=True)
class CnnAverage:
    """Every frame has its say, also those that the vote overruled.

    Source: Li et al. 2017, section 4.3, where it is slightly worse than the vote.
    """

    name = "cnn_average"
    columns = (LOGITS,)
    definition = "mean logits of all frames"
    calibrated = True

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return frame_average(rows.logits)


@dataclasses.dataclass(frozen=True)
class UnAtt:
    """Unsupervised attention: how strongly some place of each frame speaks for the class, averaged over the frames.

    Args:
        window: side of the window, in map cells.

    Source: Li et al. 2017, section 3.3, Eqs. 2 and 3.
    """

    window: int = 3
    name = "unatt"
    columns = (MAPS,)
    definition = "mean over all frames of the largest attention in any window of the raw map"
    calibrated = True

    def __call__(self, rows: VideoRows) -> np.ndarray:
        chunks = (rows.maps[i : i + FRAMES_AT_ONCE] for i in range(0, len(rows.maps), FRAMES_AT_ONCE))
        energies = [window_energy(torch.tensor(chunk), window=self.window) for chunk in chunks]
        return video_scores(torch.cat(energies)).numpy()


@dataclasses.dataclass(frozen=True)
class EnergyNetScore:
    """The learned energy of the maps, averaged over the frames.

    Args:
        net: trained, in eval mode.

    Source: Li et al. 2017, section 3.4.4.
    """

    net: EnergyNet
    name = "energynet"
    columns = (MAPS,)
    definition = "mean over all frames of the learned energy of the raw map"
    calibrated = True

    def __call__(self, rows: VideoRows) -> np.ndarray:
        device = self.net.map_scale.device
        return video_scores(frame_energies(self.net, torch.tensor(rows.maps).to(device))).cpu().numpy()


@dataclasses.dataclass(frozen=True)
class SvmVote:
    """Linear SVMs on the CNN's pooled features, by majority vote over the frames.

    Args:
        svm: trained.

    Source: Li et al. 2017, section 4.3.
    """

    svm: LinearSvm
    name = "svm"
    columns = (FEATURES,)
    definition = "one-vs-rest linear SVMs on pooled features, C of the options; majority vote"
    calibrated = False

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return late_fusion(self.svm(rows.tensors[FEATURES]))
