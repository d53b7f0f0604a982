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
from attn.window_energy import window_energy

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
        known_squares: sum of squares of all training maps and their count, if they are computed already.
        known_windows: the same of their window energies.
    """

    bank: MapBank
    device: torch.device
    first_row: int = 0
    peers: Peers | None = None
    known_squares: tuple[float, int] | None = None
    known_windows: tuple[float, int] | None = None

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
        chunks = self._part(peers).split(ROWS_AT_ONCE)
        squares = sum(float(chunk.float().square().sum(dtype=torch.float64)) for chunk in chunks)
        return squares, sum(chunk.numel() for chunk in chunks)

    def window_squares(self, peers: Peers, map_shape: tuple[int, int], window: int) -> tuple[float, int]:
        """The same of the window energies, of each frame less their mean over its classes.

        Only what differs between the classes of a frame ranks them.

        Args:
            peers: the group.
            map_shape: rows and columns.
            window: side of the window, in map cells.
        """
        squares, count = 0.0, 0
        for chunk in self._part(peers).split(ROWS_AT_ONCE):
            energies = window_energy(chunk.unflatten(-1, map_shape), window=window)
            squares += float((energies - energies.mean(1, keepdim=True)).square().sum(dtype=torch.float64))
            count += energies.numel()
        return squares, count

    def _part(self, peers: Peers) -> Tensor:
        """This member's part of all maps."""
        maps = self.bank.maps
        if self.peers is not None:
            return maps
        start, stop = (len(maps) * rank // peers.size for rank in (peers.rank, peers.rank + 1))
        return maps[start:stop]

    def _of_bank(self, rows: Tensor, classes: Tensor) -> Tensor:
        where = self.bank.maps.device
        return self.bank.select(rows.to(where), classes.to(where)).to(self.device)


class Losses(NamedTuple):
    """Losses of samples, each on its own.

    Attributes:
        ranking, triplet: what is reported.
        counted: the triplet losses that are mined and learnt from.
    """

    ranking: Float[Tensor, "sample"]
    triplet: Float[Tensor, "sample"]
    counted: Float[Tensor, "sample"]


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
        maps, ahead = self._gather(drawn)
        hard, random = self._mine(drawn, maps, ahead)
        chosen = torch.cat([self._extra, hard])
        mine = chosen[self._peers.rank :: self._peers.size]
        losses = self._losses(drawn[mine], maps.index_select(1, mine), ahead[mine])
        joint = self._joint(losses)
        self.optimizer.zero_grad()
        (joint.sum() / len(chosen)).backward()
        if self.config.num_random:
            extra = mine < self.config.num_random
            random = torch.stack([(loss.detach() * extra).sum() for loss in losses[:2]]) / self.config.num_random
        loss, ranking, triplet = self._share(torch.cat([joint.detach().sum()[None] / len(chosen), random]))
        self.optimizer.step()
        self.schedule.observe(ranking)
        return Step(loss, ranking, triplet)

    @torch.no_grad()
    def measure(self) -> Step:
        """Mean losses of all samples drawn for the first update, none of which is learnt from."""
        drawn = self._samples(0)
        maps, ahead = self._gather(drawn)
        mine = torch.arange(len(drawn.has_positive), device=ahead.device)[self._peers.rank :: self._peers.size]
        losses = self._losses(drawn[mine], maps.index_select(1, mine), ahead[mine])
        sums = torch.stack([self._joint(losses).sum(), losses.ranking.sum(), losses.triplet.sum()])
        return Step(*self._peers.sum(sums / len(ahead)).tolist())

    def anchors(self) -> tuple[Tensor, Tensor]:
        """This member's part of some thousand random true maps, always the same: maps and classes."""
        block = self._sampler.block(0)
        maps = self._maps.select(block.rows[1], block.classes[1]).flatten(0, 1)
        part = slice(self._peers.rank, None, self._peers.size)
        return maps[part], block.classes[1].flatten()[part]

    @torch.no_grad()
    def centre(self) -> None:
        """Makes the mean embedding of those true maps zero."""
        maps, classes = self.anchors()
        total = self.net.hidden(maps, classes).sum(0, dtype=torch.float64)
        sums = self._peers.sum(torch.cat([total, total.new_tensor([len(classes)])]))
        self.net.centre((sums[:-1] / sums[-1]).to(self.net.map_scale.dtype))

    def _samples(self, number: int) -> Quadruples:
        block, place = divmod(number, UPDATES_AT_ONCE)
        if self._drawn is None or block != self._block:
            self._block, self._drawn = block, self._sampler.block(block)
        return self._drawn[place]

    def _gather(self, drawn: Quadruples) -> tuple[Tensor, Tensor]:
        """Maps of the four branches, and by how much the false class is ahead at the start."""
        maps = self._maps.select(drawn.rows, drawn.classes)
        false, true = self.net.start_energy(maps[:2])
        if self.config.mirror:  # which changes no window energy
            odd = maps[:, 1::2].unflatten(-1, self.net.map_shape)
            maps[:, 1::2] = odd.flip(-1).flatten(-2)
        return maps, false - true

    @torch.no_grad()
    def _mine(self, drawn: Quadruples, maps: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the hardest candidates, and this member's part of the mean losses of all candidates."""
        (first, count), peers = (self.config.num_random, self.schedule.candidates), self._peers
        start, stop = (count * rank // peers.size for rank in (peers.rank, peers.rank + 1))
        part = slice(first + start, first + stop)
        losses = self._losses(drawn[part], maps[:, part], ahead[part])
        hardness = losses.ranking if self.config.rank_by == "ranking" else self._joint(losses)
        if peers.size > 1:
            hardness = peers.sum(torch.nn.functional.pad(hardness, (start, count - stop)))
        means = torch.stack([losses.ranking.sum(), losses.triplet.sum()]) / count
        return first + hardest(hardness, self.config.num_hard), means

    def _losses(self, drawn: Quadruples, maps: Tensor, ahead: Tensor) -> Losses:
        config, (embedding, energy) = self.config, self.net(maps, drawn.classes, with_start=False)
        triplet = triplet_loss(
            embedding[1], embedding[2], embedding[3], margin=config.triplet_margin, valid=drawn.has_positive
        )
        counted = triplet
        if config.semi_hard and self.schedule.switched_at is None:
            # Above the margin the negative is nearer than the positive.
            counted = torch.where(triplet > config.triplet_margin, 0, triplet)
        ranking = energy_ranking_loss(energy[0] + ahead, energy[1], margin=config.energy_margin)
        return Losses(ranking, triplet, counted)

    def _joint(self, losses: Losses) -> Tensor:
        return torch.add(losses.ranking, losses.counted, alpha=self.config.triplet_weight)

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
