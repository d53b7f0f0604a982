"""One update of an EnergyNet: draw candidates, keep the hardest, learn from them, for one process or for a group.

All members of a group draw the same samples, each computes the losses of a part of them, all learn which are the
hardest, and each takes its part of those through the network backwards. What they then step along is the gradient that
one process would have found.

Source: Li et al. 2017, sections 3.4.1 to 3.4.4.
"""

import dataclasses
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.optim import SGD

from attn.losses.energy_ranking import energy_ranking_loss
from attn.losses.triplet import triplet_loss
from attn.mining.hardest import hardest
from attn.mining.sampler import UPDATES_AT_ONCE, Quadruples, QuadrupleSampler
from attn.mining.schedule import CandidateSchedule
from attn.models.energynet import EnergyNet
from attn.stages.energy_config import EnergyConfig
from attn.stages.map_bank import MapBank

ROWS_AT_ONCE = 256


class Peers(Protocol):
    """The members of a group as one of them sees it.

    Attributes:
        rank: this one's number.
        size: how many.
    """

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...

    def sum(self, values: Tensor) -> Tensor:
        """Element by element over all members; may overwrite its argument."""
        ...


@dataclasses.dataclass(frozen=True)
class Alone:
    """A group of one."""

    rank: int = 0
    size: int = 1

    def sum(self, values: Tensor) -> Tensor:
        return values


@dataclasses.dataclass(frozen=True)
class TrainingMaps:
    """The maps of all training videos, wherever in the group they are.

    Attributes:
        bank: those that this member holds, on the device or in the machine's memory.
        device: where they are wanted.
        first_row: row of all videos at which its bank begins.
        peers: who holds the others; None where this member holds all.
        known_squares: sum of squares of all training maps and their count, where somebody has computed them.
    """

    bank: MapBank
    device: torch.device
    first_row: int = 0
    peers: Peers | None = None
    known_squares: tuple[float, int] | None = None

    def select(self, rows: Int[Tensor, "*sample"], classes: Int[Tensor, "*sample"]) -> Float[Tensor, "*sample cell"]:
        """Single maps, in float32. Where they are shared, all members ask for the same ones at the same time."""
        if self.peers is None:
            return self._of_bank(rows, classes)
        local = rows - self.first_row
        held = (local >= 0) & (local < self.bank.table.rows)
        found = torch.zeros(*rows.shape, self.bank.maps.shape[2], device=self.device)
        found[held] = self._of_bank(local[held], classes[held])
        return self.peers.sum(found)

    def sum_of_squares(self, peers: Peers) -> tuple[float, int]:
        """Of this member's part of all maps, and how many numbers they are: over all members they add up.

        rms = sqrt(sum / count)
        """
        maps = self.bank.maps
        if self.peers is None:
            start, stop = (len(maps) * rank // peers.size for rank in (peers.rank, peers.rank + 1))
            maps = maps[start:stop]
        chunks = maps.split(ROWS_AT_ONCE)
        return sum(float(chunk.float().square().sum(dtype=torch.float64)) for chunk in chunks), maps.numel()

    def _of_bank(self, rows: Tensor, classes: Tensor) -> Tensor:
        where = self.bank.maps.device
        return self.bank.select(rows.to(where), classes.to(where)).to(self.device)


class Losses(NamedTuple):
    """Losses of samples, each on its own."""

    ranking: Float[Tensor, "sample"]
    triplet: Float[Tensor, "sample"]


class Step(NamedTuple):
    """Of one update.

    Attributes:
        loss: mean over the samples that were learnt from.
        random_ranking: mean ranking loss of random samples; what decides the switch.
        random_triplet: mean triplet loss of the same.
    """

    loss: float
    random_ranking: float
    random_triplet: float


class EnergyTrainer:
    """Network, optimiser and schedule of one training, on one device.

    Args:
        net: with its weights, where the maps are.
        maps: of the training videos.
        sampler: of their rows, `samples_per_update(config)` for each update.
        config: everything else.
        peers: the group.
    """

    def __init__(
        self, net: EnergyNet, maps: TrainingMaps, sampler: QuadrupleSampler, config: EnergyConfig, peers: Peers
    ):
        self.net, self.config = net, config
        self.optimizer = SGD(
            net.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=True
        )
        self.schedule = CandidateSchedule(
            config.candidates_initial,
            config.candidates_final,
            config.switch_threshold * config.energy_margin,
            config.monitor_smoothing,
        )
        self._maps, self._sampler, self._peers = maps, sampler, peers
        self._block, self._drawn = -1, None
        self._extra = torch.arange(config.num_random, device=net.map_scale.device)

    def update(self, number: int) -> Step:
        """The update of that number, counted from 0."""
        # The random samples come first: the candidates behind them may become more.
        drawn = self._samples(number)[: self.config.num_random + self.schedule.candidates]
        maps = self._maps.select(drawn.rows, drawn.classes)
        hard, random = self._mine(drawn, maps)
        chosen = torch.cat([self._extra, hard])
        mine = chosen[self._peers.rank :: self._peers.size]
        losses = self._losses(drawn[mine], maps.index_select(1, mine))
        joint = self._joint(losses)
        self.optimizer.zero_grad()
        (joint.sum() / len(chosen)).backward()
        if self.config.num_random:
            extra = mine < self.config.num_random
            random = torch.stack([(loss.detach() * extra).sum() for loss in losses]) / self.config.num_random
        loss, ranking, triplet = self._share(torch.cat([joint.detach().sum()[None] / len(chosen), random]))
        self.optimizer.step()
        self.schedule.observe(ranking)
        return Step(loss, ranking, triplet)

    def _samples(self, number: int) -> Quadruples:
        block, place = divmod(number, UPDATES_AT_ONCE)
        if self._drawn is None or block != self._block:
            self._block, self._drawn = block, self._sampler.block(block)
        return self._drawn[place]

    @torch.no_grad()
    def _mine(self, drawn: Quadruples, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the hardest candidates, and this member's part of the mean losses of all candidates."""
        (first, count), peers = (self.config.num_random, self.schedule.candidates), self._peers
        start, stop = (count * rank // peers.size for rank in (peers.rank, peers.rank + 1))
        part = slice(first + start, first + stop)
        losses = self._losses(drawn[part], maps[:, part])
        hardness = losses.ranking if self.config.rank_by == "ranking" else self._joint(losses)
        if peers.size > 1:
            hardness = peers.sum(torch.nn.functional.pad(hardness, (start, count - stop)))
        means = torch.stack([losses.ranking.sum(), losses.triplet.sum()]) / count
        return first + hardest(hardness, self.config.num_hard), means

    def _losses(self, drawn: Quadruples, maps: Tensor) -> Losses:
        embedding, energy = self.net(maps, drawn.classes)
        return Losses(
            energy_ranking_loss(energy[0], energy[1], margin=self.config.energy_margin),
            triplet_loss(
                embedding[1], embedding[2], embedding[3], margin=self.config.triplet_margin, valid=drawn.has_positive
            ),
        )

    def _joint(self, losses: Losses) -> Tensor:
        return torch.add(losses.ranking, losses.triplet, alpha=self.config.triplet_weight)

    def _share(self, numbers: Tensor) -> list[float]:
        """Sums of gradients and of a few numbers over the group, in one message."""
        if self._peers.size == 1:
            return numbers.tolist()
        gradients = [weight.grad for weight in self.net.parameters() if weight.grad is not None]
        total = self._peers.sum(torch.cat([*(gradient.flatten() for gradient in gradients), numbers]))
        parts = total.split([gradient.numel() for gradient in gradients] + [len(numbers)])
        for gradient, part in zip(gradients, parts, strict=False):
            gradient.copy_(part.view_as(gradient))
        return parts[-1].tolist()


def samples_per_update(config: EnergyConfig) -> int:
    """Candidates at their most, and the random samples beside them."""
    return config.candidates_final + config.num_random
