"""Scoring methods: small classes that compute one score per class from the rows of a video.

A method defines the columns that it reads, a definition (recorded with every figure) and the name of its scores. To add
a method, write a class and construct it in `attn.commands.evaluate_methods`.
"""

import dataclasses
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attn.eval.calibration import Calibration
from attn.eval.fusion import frame_average, late_fusion, softmax
from attn.maps.energy import video_scores, window_energy
from attn.models.energynet import EnergyNet
from attn.schema import FEATURES, LOGITS, MAPS
from attn.stages.svm import LinearSvm
from attn.storage.store import VideoRows

# Chunks limit the memory for long videos: float32 maps, and hidden activations of 13 MB with 101 classes.
FRAMES_AT_ONCE = 256

CALIBRATED = "_calibrated"
"""Suffix of the names of calibrated scores."""


class Scorer(Protocol):
    """Protocol of a scoring method.

    Attributes:
        name: name of its scores in tables.
        columns: columns of the store that it reads.
        definition: definition of the score, in one phrase.
        calibrated: True if `evaluate --calibrate` adds a second set of scores. Late-fused scores are not calibrated,
            because each video averages different frames, those of its majority class (see `attn.eval.calibration`).
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
        """Compute the scores [cls] of one video."""
        ...


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """Scores of another method, calibrated per class.

    Args:
        scorer: method to calibrate.
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
    """The CNN's predictions, by majority vote over the frames.

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
    """Mean of the logits of all frames, including those that disagree with the majority.

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
    """Unsupervised attention (UnAtt): window energy of each frame's map, averaged over the frames.

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
        return video_scores(window_energies(rows.maps, self.window)).numpy()


def window_energies(maps: Float[np.ndarray, "frame cls row col"], window: int) -> Float[Tensor, "frame cls"]:
    """Window energies of any number of maps, computed in chunks."""
    chunks = (maps[i : i + FRAMES_AT_ONCE] for i in range(0, len(maps), FRAMES_AT_ONCE))
    return torch.cat([window_energy(torch.tensor(chunk), window=window) for chunk in chunks])


@dataclasses.dataclass(frozen=True)
class EnergyNetScore:
    """Learned energy of the maps, averaged over the frames.

    Args:
        net: trained network in eval mode.

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


@torch.inference_mode()
def frame_energies(net: EnergyNet, maps: Float[Tensor, "frame cls row col"]) -> Float[Tensor, "frame cls"]:
    """E_net of all classes for any number of frames, computed in chunks."""
    return torch.cat([net.energies(chunk) for chunk in maps.split(FRAMES_AT_ONCE)])


@dataclasses.dataclass(frozen=True)
class SvmVote:
    """Linear SVMs on the CNN's pooled features, by majority vote over the frames.

    Args:
        svm: trained SVMs.

    Source: Li et al. 2017, section 4.3.
    """

    svm: LinearSvm
    name = "svm"
    columns = (FEATURES,)
    definition = "one-vs-rest linear SVMs on pooled features, C of the options; majority vote"
    calibrated = False

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return late_fusion(self.svm(rows.tensors[FEATURES]))
