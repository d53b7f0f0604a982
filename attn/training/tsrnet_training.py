"""Updates of a TSRNet on untrimmed and trimmed videos, in one process or a worker group.

All workers draw the same videos, samples and dropout masks, and compute their share of the videos. Discrepancies
compare all videos of an update, so the workers exchange their vectors; each passes gradients to its own ones. The sum
of the gradients equals that of a single process.

Source: Zhang et al. 2019.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.optim import SGD

from attn.losses.mmd import Discrepancy, maximum_mean_discrepancy
from attn.losses.temporal import attention_smoothness, attention_sparsity, label_cross_entropy
from attn.models.tsrnet import Architecture, Tsrnet
from attn.stages.time_samples import perturbed_samples
from attn.stages.tsrnet_config import TsrnetConfig
from attn.stages.windows import shuffled
from attn.training.ahead import Ahead
from attn.training.bank import Bank
from attn.training.peers import Peers, sum_gradients

MOMENTUM = 0.9
DECAY_FACTOR = 0.1


class VideoBatch(NamedTuple):
    """Samples of a worker's share of the videos of an update; untrimmed videos come first.

    Attributes:
        features: features of the samples, padded with zeros.
        real: mask of the samples that are not padding.
        classes: classes of the videos.
        own: places of the videos among all of the update.
        untrimmed: number of untrimmed videos of all workers.
        total: number of videos of all workers.
    """

    features: Float[Tensor, "video sample chan"]
    real: Bool[Tensor, "video sample"]
    classes: Bool[Tensor, "video cls"]
    own: Int[Tensor, "video"]
    untrimmed: int
    total: int


class Step(NamedTuple):
    """Losses of one update.

    Attributes:
        loss: training loss, without the L2 penalty.
        class_loss: cross-entropy per video that has a class, of the untrimmed ones unless trimmed ones count too.
        smoothness: R_smooth per untrimmed video.
        sparsity: R_sparsity per untrimmed video.
        transfer: L_FC1 + L_FC2; 0 without trimmed videos.
        floor: its expectation for equal distributions.
    """

    loss: float
    class_loss: float
    smoothness: float
    sparsity: float
    transfer: float
    floor: float


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Videos of one kind from which batches are drawn.

    Attributes:
        bank: features of the videos, whose targets are masks of classes.
        kind: 0 for untrimmed videos, 1 for trimmed ones; part of the seed.
    """

    bank: Bank
    kind: int

    def videos(self, number: int, batch: int, seed: int) -> Int[np.ndarray, "video"]:
        """Videos of an update: the next ones of shuffled passes over all. It may repeat one if it spans two."""
        count = len(self.bank.table.video_ids)
        size = min(batch, count)
        places = range(number * size, (number + 1) * size)
        return np.array([self._pass(place // count, count, seed)[place % count] for place in places], np.int64)

    def rows(self, videos: Int[np.ndarray, "video"], config: TsrnetConfig, number: int) -> list[np.ndarray]:
        """Rows of the bank with the samples of some videos; perturbed at random."""
        rng, table = np.random.default_rng((config.seed, number, self.kind)), self.bank.table
        return [
            table.first_row[video] + perturbed_samples(int(table.num_frames[video]), config.num_samples, rng)
            for video in videos
        ]

    def _pass(self, epoch: int, count: int, seed: int) -> Int[np.ndarray, "video"]:
        return shuffled(count, epoch=2 * epoch + self.kind, seed=seed)


def new_net(config: TsrnetConfig, *, num_classes: int, num_channels: int) -> Tsrnet:
    """Create a network with its initial weights, which depend on the seed and not on torch's random state."""
    names = {field.name for field in dataclasses.fields(Architecture)}
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name in names}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Tsrnet(Architecture(num_classes=num_classes, num_channels=num_channels, **settings))


class TsrnetTrainer:
    """Trainer of a TSRNet on one device, with its optimizer.

        L = mean CE + α mean R_smooth + β mean R_sparsity + γ (MMD²(T, U) + MMD²(FC1(T), FC1(U)))

    Args:
        net: network with its initial weights.
        untrimmed: untrimmed training videos.
        trimmed: trimmed training videos; None without transfer.
        config: settings of the training.
        peers: worker group.
    """

    def __init__(self, net: Tsrnet, untrimmed: Bank, trimmed: Bank | None, config: TsrnetConfig, peers: Peers):
        self.net, self.config, self._peers = net, config, peers
        self.optimizer = SGD(net.parameters(), lr=config.lr, momentum=MOMENTUM, weight_decay=config.weight_decay)
        self._kinds = [Drawn(untrimmed, 0), *([] if trimmed is None else [Drawn(trimmed, 1)])]
        self._batches = Ahead(self._batch)

    def close(self) -> None:
        """End the thread that makes the next batch; the network stays usable."""
        self._batches.close()

    def update(self, number: int) -> Step:
        """Perform an update.

        Args:
            number: index of the update, from 0; decides videos, samples, dropout masks and the learning rate.
        """
        batch, config = self._batches.take(number), self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr * DECAY_FACTOR ** (number // config.lr_every)
        self.optimizer.zero_grad()
        losses = self._losses(batch, number)
        class_loss, smoothness, sparsity, transfer, _ = losses
        loss = class_loss + config.smoothness * smoothness + config.sparsity * sparsity + config.transfer * transfer
        loss.backward()
        # Every worker has the discrepancy of all videos, and so a share of its gradients; the numbers are counted once.
        numbers = torch.stack([loss, *losses]).detach()
        numbers[0] -= config.transfer * transfer.detach() * (1 - 1 / self._peers.size)
        numbers[-2:] /= self._peers.size
        values = sum_gradients(self.net, numbers, self._peers)
        self.optimizer.step()
        return Step(*values)

    def _losses(self, batch: VideoBatch, number: int) -> tuple[Tensor, ...]:
        """Class loss, smoothness, sparsity, discrepancy and its floor, as shares of this worker."""
        net, count = self.net.train(), batch.untrimmed
        attended = net.attend(batch.features, batch.real)
        logits = net.classify(attended.hidden * self._kept(batch, number))
        of_untrimmed = batch.own < count
        weights = attended.attention[of_untrimmed]
        normalised = net.architecture.attention != "sigmoid"
        cross_entropy = label_cross_entropy(logits, batch.classes)
        own = slice(None) if self.config.trimmed_ce else of_untrimmed
        transfer, floor = self._transfer(batch, (attended.mean, attended.hidden))
        return (
            cross_entropy[own].sum() / self._labelled(batch),
            attention_smoothness(weights, batch.real[of_untrimmed]).sum() / count,
            attention_sparsity(weights, normalised=normalised).sum() / count,
            transfer,
            floor,
        )

    def _transfer(self, batch: VideoBatch, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Discrepancies of the inputs of FC1 and FC2 between both kinds of videos, and the sum of their floors."""
        if batch.total == batch.untrimmed:
            return inputs[0].new_zeros(()), inputs[0].new_zeros(())
        found: list[Discrepancy] = []
        for own in inputs:
            joint = _joint(own, batch, self._peers)
            found.append(
                maximum_mean_discrepancy(
                    joint[batch.untrimmed :],
                    joint[: batch.untrimmed],
                    kernel=self.config.kernel,
                    estimate=self.config.estimate,
                )
            )
        return found[0].value + found[1].value, found[0].floor + found[1].floor

    def _labelled(self, batch: VideoBatch) -> Tensor:
        """Number of videos of all workers that count in the class loss; at least 1."""
        own = batch.classes.any(1) & ((batch.own < batch.untrimmed) | self.config.trimmed_ce)
        return self._peers.sum(own.sum().float()).clamp(min=1)

    def _kept(self, batch: VideoBatch, number: int) -> Float[Tensor, "video hidden"]:
        """Factors of the units of FC1: 0 for dropped ones. They are drawn for the videos of all workers."""
        config, device = self.config, batch.features.device
        rng = torch.Generator().manual_seed(int(np.random.SeedSequence((config.seed, number, 2)).generate_state(1)[0]))
        chance = torch.rand(batch.total, config.hidden_dim, generator=rng)[batch.own.cpu()]
        return ((chance >= config.dropout) / (1 - config.dropout)).to(device)

    def _batch(self, number: int) -> VideoBatch:
        """This worker's share of the videos of an update."""
        config, like, peers = self.config, self.net.classify.weight, self._peers
        rows, features, classes, counts = [], [], [], []
        for drawn in self._kinds:
            videos = drawn.videos(number, config.batch, config.seed)
            places = np.arange(len(videos))[peers.rank :: peers.size]
            chosen = drawn.rows(videos, config, number)
            rows.append(places + sum(counts))
            counts.append(len(videos))
            features += [drawn.bank.select(torch.from_numpy(chosen[place]), like.device) for place in places]
            classes.append(drawn.bank.table.targets[videos[places]])
        return VideoBatch(
            *_padded(features, self._kinds[0].bank.values.shape[1], like),
            torch.from_numpy(np.concatenate(classes)).to(like.device),
            torch.from_numpy(np.concatenate(rows)).to(like.device),
            counts[0],
            sum(counts),
        )


def _padded(features: list[Tensor], num_channels: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Features of videos of different lengths as one tensor, and the mask of the samples that are not padding."""
    most = max((len(one) for one in features), default=0)
    padded = [F.pad(one, (0, 0, 0, most - len(one))) for one in features]
    lengths = torch.tensor([len(one) for one in features], device=like.device, dtype=torch.int64)
    real = torch.arange(most, device=like.device) < lengths[:, None]
    return (torch.stack(padded) if padded else like.new_zeros(0, 0, num_channels)).to(like.dtype), real


def _joint(own: Float[Tensor, "video size"], batch: VideoBatch, peers: Peers) -> Float[Tensor, "every size"]:
    """Vectors of the videos of all workers; only those of this worker pass gradients."""
    if peers.size == 1:
        return own
    place = batch.own[:, None].expand_as(own)
    others = own.new_zeros(batch.total, own.shape[1])
    others = peers.sum(others.scatter(0, place, own.detach()))
    return others.scatter(0, place, own)
