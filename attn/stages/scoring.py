"""Scoring methods: small classes that compute one score per class from the rows of a video.

A method has the columns that it reads, a definition (recorded with every figure) and the name of its scores. To add a
method, write a class here and its line in `attn.methods`. A model of another kind brings a class of its own along
(`attn.stages.open_model`).
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attn.eval.calibration import Calibration
from attn.eval.fusion import frame_average, late_fusion, softmax
from attn.maps.energy import video_scores, window_energy
from attn.methods import METHODS
from attn.models.energynet import EnergyNet
from attn.schema import FEATURES
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
        calibrated: True if `evaluate --calibrate` adds a second set of scores.
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


class InTable:
    """Base of the methods in `attn.methods.METHODS`, which has their attributes."""

    name: ClassVar[str]

    @property
    def columns(self) -> tuple[str, ...]:
        return METHODS[self.name].columns

    @property
    def definition(self) -> str:
        return METHODS[self.name].definition

    @property
    def calibrated(self) -> bool:
        return METHODS[self.name].calibrated


@dataclasses.dataclass(frozen=True)
class Named:
    """Scores of another method under a name that the user has chosen.

    Args:
        scorer: method that computes the scores.
        name: name of the scores.
    """

    scorer: Scorer
    name: str

    @property
    def columns(self) -> tuple[str, ...]:
        return self.scorer.columns

    @property
    def definition(self) -> str:
        return self.scorer.definition

    @property
    def calibrated(self) -> bool:
        return self.scorer.calibrated

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return self.scorer(rows)


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
class CnnVote(InTable):
    """The CNN's predictions, by majority vote over the frames.

    Source: Li et al. 2017, section 4.3.
    """

    name = "cnn"

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return late_fusion(rows.logits)


@dataclasses.dataclass(frozen=True)
class CnnSoftmaxVote(InTable):
    """`CnnVote` with probabilities in place of logits, which makes the scores of different videos comparable."""

    name = "cnn_softmax"

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return late_fusion(softmax(rows.logits))


@dataclasses.dataclass(frozen=True)
class CnnAverage(InTable):
    """Mean of the logits of all frames, including those that disagree with the majority.

    Source: Li et al. 2017, section 4.3, where it is slightly worse than the vote.
    """

    name = "cnn_average"

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return frame_average(rows.logits)


@dataclasses.dataclass(frozen=True)
class UnAtt(InTable):
    """Unsupervised attention (UnAtt): window energy of each frame's map, averaged over the frames.

    Args:
        window: side of the window, in map cells.

    Source: Li et al. 2017, section 3.3, Eqs. 2 and 3.
    """

    window: int = 3
    name = "unatt"

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return video_scores(window_energies(rows.maps, self.window)).numpy()


def window_energies(maps: Float[np.ndarray, "frame cls row col"], window: int) -> Float[Tensor, "frame cls"]:
    """Window energies of any number of maps, computed in chunks."""
    chunks = (maps[i : i + FRAMES_AT_ONCE] for i in range(0, len(maps), FRAMES_AT_ONCE))
    return torch.cat([window_energy(torch.tensor(chunk), window=window) for chunk in chunks])


@dataclasses.dataclass(frozen=True)
class EnergyNetScore(InTable):
    """Learned energy of the maps, averaged over the frames.

    Args:
        net: trained network in eval mode.

    Source: Li et al. 2017, section 3.4.4.
    """

    net: EnergyNet
    name = "energynet"

    def __call__(self, rows: VideoRows) -> np.ndarray:
        device = self.net.map_scale.device
        return video_scores(frame_energies(self.net, torch.tensor(rows.maps).to(device))).cpu().numpy()


@torch.inference_mode()
def frame_energies(net: EnergyNet, maps: Float[Tensor, "frame cls row col"]) -> Float[Tensor, "frame cls"]:
    """E_net of all classes for any number of frames, computed in chunks."""
    return torch.cat([net.energies(chunk) for chunk in maps.split(FRAMES_AT_ONCE)])


@dataclasses.dataclass(frozen=True)
class SvmVote(InTable):
    """Linear SVMs on the CNN's pooled features, by majority vote over the frames.

    Args:
        svm: function that returns the distances [frame, cls] for features [frame, chan], such as a `LinearSvm`.

    Source: Li et al. 2017, section 4.3.
    """

    svm: Callable[[np.ndarray], np.ndarray]
    name = "svm"

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return late_fusion(self.svm(rows.tensors[FEATURES]))


def cnn_scorer(name: str, window: int = 3) -> Scorer:
    """Return the scorer of a method that needs only a CNN.

    Args:
        name: name of the scores: `unatt`, `cnn` or one of its variants.
        window: side of UnAtt's energy window, in map cells.
    """
    makers = {one.name: one for one in (CnnVote, CnnSoftmaxVote, CnnAverage)}
    return UnAtt(window) if name == UnAtt.name else makers[name]()
