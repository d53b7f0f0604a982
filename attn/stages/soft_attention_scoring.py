"""Scores of whole videos by a soft-attention LSTM, and the attention of their frames."""

import dataclasses
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from attn.models.soft_attention import SoftAttention, Unrolled
from attn.schema import GRID
from attn.stages.scoring import Named, Scorer
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.stages.windows import Windows
from attn.storage.store import VideoRows

Aggregation = Literal["mean", "mode"]


class Scored(NamedTuple):
    """Scores of videos and attention of their frames.

    Attributes:
        scores: scores of each video; zeros for a video without frames.
        attention: mean attention weights of each frame over all windows that contain it, which add up to 1. NaN for
            frames in no window. None if the network pools its frames, or without figures of frames.
        frames: mean probabilities at each frame over all windows that contain it. NaN for frames in no window. None
            without figures of frames.
    """

    scores: Float[Tensor, "video cls"]
    attention: Float[Tensor, "row cell"] | None
    frames: Float[Tensor, "row cls"] | None

    def probabilities(self) -> Float[np.ndarray, "row cls"]:
        """Mean probabilities at each frame.

        Raises:
            ValueError: figures of frames were not asked for.
        """
        if self.frames is None:
            raise ValueError("figures of frames were not asked for")
        return self.frames.cpu().numpy()

    def weights(self, map_shape: tuple[int, ...]) -> Float[np.ndarray, "row height width"]:
        """Attention weights as maps.

        Args:
            map_shape: rows and columns of the grids.

        Raises:
            ValueError: there are none.
        """
        if self.attention is None:
            raise ValueError("no attention: the network pools its frames, or figures of frames were not asked for")
        return self.attention.cpu().numpy().reshape(-1, *map_shape)


def select_cubes(
    grids: Float[Tensor, "row cell chan"], rows: Int[np.ndarray, "*some"]
) -> Float[Tensor, "*some cell chan"]:
    """Feature cubes of some frames, on the device of all.

    Args:
        grids: feature cubes of all frames; usually a view of the store's order, [row, chan, cell], whose rows are
            copied as a whole.
        rows: rows of the frames.
    """
    if grids.is_cuda:
        return grids[torch.from_numpy(rows).to(grids.device)]
    return torch.from_numpy(grids.mT.numpy()[rows]).mT  # a third of the time of torch's indexing


@torch.inference_mode()
def score_windows(
    net: SoftAttention, grids: Float[Tensor, "row cell chan"], windows: Windows, *, batch: int
) -> Iterator[tuple[np.ndarray, Unrolled]]:
    """Output of all windows, in batches, with their rows [window, step].

    Neighbouring windows share most of their frames, so everything that does not depend on the state is computed once
    per frame of a batch. No copy of a batch's windows is made, because a step reads one frame per window.

    Args:
        net: network; switched to evaluation mode.
        grids: feature cubes of all frames, of any precision and on any device.
        windows: windows of the videos.
        batch: number of windows at a time.
    """
    like = net.eval().output.weight
    for start in range(0, len(windows), batch):
        rows = windows.rows(slice(start, start + batch))
        unique, place = np.unique(rows, return_inverse=True)
        cubes = select_cubes(grids, unique).to(like.device).to(like.dtype)
        frames, steps = net.prepare(cubes), torch.from_numpy(place.reshape(rows.shape)).to(like.device)
        mean = torch.stack([frames.mean[of_step] for of_step in steps.T]).mean(0)
        yield rows, net.unroll((frames.select(of_step) for of_step in steps.T), mean)


@torch.inference_mode()
def score_videos(
    net: SoftAttention,
    grids: Float[Tensor, "row cell chan"],
    windows: Windows,
    num_videos: int,
    *,
    aggregation: Aggregation = "mean",
    last_steps: int | None = None,
    batch: int = 128,
    of_frames: bool = True,
) -> Scored:
    """Scores of whole videos.

        mean:  score(V, c) = (1/W) Σ_windows (1/n) Σ_t p_t(c)
        mode:  score(V, c) = (1/W) · number of windows with the largest Σ_t p_t at c

    Both use the last n steps of a window. Probabilities are averaged, not logits. Among equal classes, the lowest wins.

    Args:
        net: network; switched to evaluation mode.
        grids: feature cubes of all frames, of any precision and on any device.
        windows: windows of the videos.
        num_videos: number of videos.
        aggregation: see above; `mode` needs windows with one class each.
        last_steps: n (default: all steps).
        batch: number of windows at a time.
        of_frames: also compute figures of all frames of `grids`.

    Source: mode and n = 16 or 30: released code of Sharma et al. 2015.
    """
    like, sizes = net.output.weight, net.architecture
    attends, counted = sizes.pooling == "attention", len(grids) if of_frames else 0
    scores = like.new_zeros(num_videos, sizes.num_classes)
    attention = like.new_zeros(counted if attends else 0, sizes.num_cells)
    frames, seen = like.new_zeros(counted, sizes.num_classes), like.new_zeros(counted, 1)
    start = 0
    for rows, (logits, weights) in score_windows(net, grids, windows, batch=batch):
        steps = net.probabilities(logits)
        means = steps[:, -last_steps if last_steps else None :].mean(1)
        if aggregation == "mode":
            means = torch.zeros_like(means).scatter_(1, means.argmax(1, keepdim=True), 1)
        videos = torch.from_numpy(windows.video[start : start + len(rows)]).to(like.device)
        scores.index_add_(0, videos, means)
        if of_frames:
            places = torch.from_numpy(rows.ravel()).to(like.device)
            frames.index_add_(0, places, steps.flatten(0, 1))
            seen.index_add_(0, places, torch.ones_like(steps.flatten(0, 1)[:, :1]))
            if weights is not None:
                attention.index_add_(0, places, weights.flatten(0, 1))
        start += len(rows)
    counts = torch.from_numpy(np.bincount(windows.video, minlength=num_videos)).to(like.device)
    scores = scores / counts[:, None].clamp(min=1)
    if not of_frames:
        return Scored(scores, None, None)
    return Scored(scores, attention / seen if attends else None, frames / seen)


@dataclasses.dataclass(frozen=True)
class SoftAttentionScore:
    """Probabilities of a soft-attention LSTM, averaged over steps and windows.

    Args:
        net: trained network.
        config: settings of the training, which decide windows and aggregation.

    Source: Sharma et al. 2015.
    """

    net: SoftAttention
    config: SoftAttentionConfig
    name = "soft_attention"
    columns = (GRID,)
    calibrated = False

    @property
    def definition(self) -> str:
        steps = f"the last {self.config.last_steps} steps" if self.config.last_steps else "all steps"
        if self.config.test_aggregation == "mode":
            return f"share of the windows that predict the class, by the sum of probabilities over {steps}"
        return f"mean over windows of the mean probability over {steps}"

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return self.scored(rows).scores[0].cpu().numpy()

    def scored(self, rows: VideoRows) -> Scored:
        """Scores and attention of one video."""
        config = self.config
        grids = torch.tensor(rows.tensors[GRID]).flatten(2).transpose(1, 2)
        windows = Windows.of(
            np.array([len(grids)]), frames=config.window_frames, stride=config.window_stride, skip=config.skip
        )
        return score_videos(
            self.net,
            grids,
            windows,
            1,
            aggregation=config.test_aggregation,
            last_steps=config.last_steps,
            batch=config.batch,
        )


def attending(scorer: Scorer) -> SoftAttentionScore | None:
    """Model behind a scorer, if it has attention weights."""
    model = scorer.scorer if isinstance(scorer, Named) else scorer
    if isinstance(model, SoftAttentionScore) and model.net.architecture.pooling == "attention":
        return model
    return None
