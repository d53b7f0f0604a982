"""Columns of a clip store, computed from clips of frames or flow by an actor."""

from collections.abc import Collection

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from attn.models.clip_file import TrainedClipCnn
from attn.schema import ATTENTION, LOGITS
from attn.stages.clip_scoring import ScoredClips, score_clips
from attn.stages.clips import scored_views


class ComputeClips:
    """Logits and attention maps of clips.

    With several windows, the logits are the logarithms of the mean probabilities, whose softmax they are; the attention
    is that of the window in the middle.

    Args:
        trained: network of frames or flow.
        columns: columns to compute, from logits and attention.
        crops: number of windows of a clip, 1 or 3.
        device: device of the network.

    Source: Liu et al. 2019, whose first author's code averages the probabilities of three windows.
    """

    def __init__(self, trained: TrainedClipCnn, *, columns: Collection[str], crops: int, device: str = "cpu") -> None:
        self._net, self._input, self._columns = trained.net.to(device), trained.input, columns
        self._views = scored_views(trained.input.size, trained.input.crop, crops)

    def __call__(self, images: Shaped[np.ndarray, "clip time row col chan"]) -> dict[str, np.ndarray]:
        """Compute the columns of clips: pixels of frames (uint8), or flow as stored (int8)."""
        windows = [self._window(images, view.top, view.left) for view in self._views]
        found: list[ScoredClips] = list(score_clips(self._net, self._input, iter(windows)))
        columns = {
            LOGITS: _joint([scored.logits for scored in found]).float().cpu().numpy(),
            ATTENTION: found[len(found) // 2].attention.cpu().numpy().astype(np.float16),
        }
        return {name: values for name, values in columns.items() if name in self._columns}

    def _window(self, images: np.ndarray, top: int, left: int) -> Tensor:
        side = self._input.crop
        window = images[:, :, top : top + side, left : left + side].transpose(0, 4, 1, 2, 3)
        return torch.from_numpy(np.ascontiguousarray(window))


def _joint(logits: list[Tensor]) -> Tensor:
    """Logits of one window; of several ones, the logarithms of the mean probabilities."""
    if len(logits) == 1:
        return logits[0]
    return torch.logsumexp(torch.log_softmax(torch.stack(logits), -1), 0) - np.log(len(logits))
