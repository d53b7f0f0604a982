"""Updates of a soft-attention LSTM on windows of frames, in one process or a worker group.

All workers draw the same windows. Each computes the gradient of its share, and the sum of the gradients equals that of
a single process, except for the dropout masks, which each worker draws for its own share.

Source: Sharma et al. 2015, section 3.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer

from attn.losses.doubly_stochastic import doubly_stochastic_penalty
from attn.losses.step_cross_entropy import step_cross_entropy
from attn.models.released_weights import set_released_weights
from attn.models.soft_attention import Architecture, SoftAttention
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.stages.soft_attention_scoring import select_cubes
from attn.stages.windows import Windows, shuffled
from attn.training.ahead import Ahead
from attn.training.peers import Peers, sum_gradients
from attn.training.released_adam import ReleasedAdam


@dataclasses.dataclass(frozen=True)
class LabelledWindows:
    """Windows of labelled videos, gathered from the feature cubes of their frames.

    Attributes:
        grids: feature cubes of all frames, of any precision and on any device, see `select_cubes`.
        windows: windows of the videos.
        labels: class id of each video, or a mask of its classes.
    """

    grids: Float[Tensor, "row cell chan"]
    windows: Windows
    labels: Int[Tensor, "video"] | Bool[Tensor, "video cls"]

    def select(
        self, which: Int[np.ndarray, "window"], like: Tensor
    ) -> tuple[Float[Tensor, "window step cell chan"], Tensor]:
        """Feature cubes and labels of some windows, with precision and device of another tensor."""
        rows = self.windows.rows(which)
        videos = torch.from_numpy(self.windows.video[which]).to(self.labels.device)
        cubes = select_cubes(self.grids, rows).to(like.device).to(like.dtype)  # half precision travels faster
        return cubes, self.labels[videos].to(like.device)


class Losses(NamedTuple):
    """Losses per window.

    Attributes:
        cross_entropy: sum over the steps.
        penalty: doubly stochastic penalty, without its weight λ; zeros if the frames are pooled.
    """

    cross_entropy: Float[Tensor, "window"]
    penalty: Float[Tensor, "window"]


class Step(NamedTuple):
    """Losses of one update.

    Attributes:
        loss: training loss in its reduction, without the L2 penalty.
        cross_entropy: mean over steps and windows.
        penalty: mean over windows, without λ.
        windows: number of windows of all workers.
    """

    loss: float
    cross_entropy: float
    penalty: float
    windows: int


def new_net(
    config: SoftAttentionConfig, *, num_classes: int, num_channels: int, num_cells: int, multi_label: bool = False
) -> SoftAttention:
    """Create a network with its initial weights, which depend on the seed and not on torch's random state."""
    names = {field.name for field in dataclasses.fields(Architecture)}
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name in names}
    sizes = {"num_classes": num_classes, "num_channels": num_channels, "num_cells": num_cells}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = SoftAttention(Architecture(**sizes, **settings, multi_label=multi_label))
        if config.init == "released":
            set_released_weights(net)
    return net


def new_optimizer(net: SoftAttention, config: SoftAttentionConfig) -> Optimizer:
    """Create the optimizer of all weights and biases, with a coupled L2 penalty."""
    make = {"adam": Adam, "sgd": SGD, "adam_released": ReleasedAdam}[config.optimizer]
    return make(net.parameters(), lr=config.learning_rate, weight_decay=config.decay)


def window_losses(
    net: SoftAttention, cubes: Float[Tensor, "window step cell chan"], labels: Tensor, config: SoftAttentionConfig
) -> Losses:
    """Compute the losses of a batch of windows."""
    logits, attention = net(cubes)
    cross_entropy = step_cross_entropy(logits, labels)
    if attention is None:
        return Losses(cross_entropy, torch.zeros_like(cross_entropy))
    penalty = doubly_stochastic_penalty(attention, target=config.penalty_target, reduction=config.penalty_reduction)
    return Losses(cross_entropy, penalty)


class SoftAttentionTrainer:
    """Trainer of a soft-attention LSTM on one device, with its optimizer.

        mean: L = (1 / T B) Σ_b (CE_b + λ P_b)            sum: L = Σ_b (CE_b + λ P_b)

    Args:
        net: network with its initial weights.
        data: windows of the training videos.
        config: settings of the training.
        peers: worker group.
    """

    def __init__(self, net: SoftAttention, data: LabelledWindows, config: SoftAttentionConfig, peers: Peers):
        self.net, self.config, self.optimizer = net, config, new_optimizer(net, config)
        self._data, self._peers = data, peers
        self._batches = Ahead(self._batch)
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    def close(self) -> None:
        """End the thread that makes the next batch; the network stays usable."""
        self._batches.close()

    @property
    def updates_per_epoch(self) -> int:
        """Number of updates of an epoch; the last one has the remaining windows, which may be fewer."""
        return -(-len(self._data.windows) // self.config.batch)

    def update(self, number: int) -> Step:
        """Perform an update.

        Args:
            number: index of the update, from 0; decides its windows and its dropout masks.
        """
        cubes, labels, windows = self._batches.take(number)
        losses = self._losses(cubes, labels, number)
        joint = losses.cross_entropy + self.config.attention_penalty * losses.penalty
        count = windows * self.config.window_frames
        self.optimizer.zero_grad()
        loss = joint.sum() / (count if self.config.ce_reduction == "mean" else 1)
        loss.backward()
        means = (losses.cross_entropy.sum() / count, losses.penalty.sum() / windows)
        loss, cross_entropy, penalty = sum_gradients(self.net, torch.stack([loss, *means]).detach(), self._peers)
        self.optimizer.step()
        return Step(loss, cross_entropy, penalty, windows)

    def _losses(self, cubes: Tensor, labels: Tensor, number: int) -> Losses:
        """Losses in training mode, with dropout masks that do not depend on torch's random state."""
        with torch.random.fork_rng(devices=[cubes.device] if cubes.is_cuda else []):
            torch.manual_seed(
                int(np.random.SeedSequence((self.config.seed, number, self._peers.rank)).generate_state(1)[0])
            )
            return window_losses(self.net.train(), cubes, labels, self.config)

    def _batch(self, number: int) -> tuple[Tensor, Tensor, int]:
        """Cubes and labels of this worker's share of an update, and the number of windows of all workers."""
        which = self._windows(number)
        own = which[self._peers.rank :: self._peers.size]
        return *self._data.select(own, self.net.output.weight), len(which)

    def _windows(self, number: int) -> Int[np.ndarray, "window"]:
        epoch, place = divmod(number, self.updates_per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = shuffled(len(self._data.windows), epoch=epoch, seed=self.config.seed)
        return self._order[place * self.config.batch : (place + 1) * self.config.batch]
