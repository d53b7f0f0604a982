"""Updates of an EnergyNet: sample candidates, select the hardest, step on them, in one process or a worker group.

All workers draw the same samples. Each computes the losses of its share, all exchange the losses to find the hardest
samples, and each computes the gradient of its share of these. The sum of the gradients equals that of a single process.

Source: Li et al. 2017, sections 3.4.1 to 3.4.4.
"""

import dataclasses
import math
from typing import NamedTuple

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
from attn.training.bank import Bank, select_maps
from attn.training.energy_config import EnergyConfig
from attn.training.peers import Peers, sum_gradients
from attn.window_energy import window_energy

ROWS_AT_ONCE = 256


@dataclasses.dataclass(frozen=True)
class TrainingMaps:
    """Maps of all training videos, possibly distributed over the workers.

    Attributes:
        bank: maps of this worker, on the device or in main memory.
        device: device of selected maps.
        first_row: global row of the first map in the bank.
        peers: worker group that holds the other maps; None if this worker holds all.
        known_squares: sum of squares of all training maps and the number of values, if already computed.
        known_windows: sum of squares of their window energies and the number of values, if already computed.
    """

    bank: Bank
    device: torch.device
    first_row: int = 0
    peers: Peers | None = None
    known_squares: tuple[float, int] | None = None
    known_windows: tuple[float, int] | None = None

    def select(self, rows: Int[Tensor, "*sample"], classes: Int[Tensor, "*sample"]) -> Float[Tensor, "*sample cell"]:
        """Select single maps, in float32. If maps are distributed, all workers must request the same ones together."""
        if self.peers is None:
            return select_maps(self.bank, rows, classes, self.device)
        local = rows - self.first_row
        held = (local >= 0) & (local < self.bank.table.rows)
        found = torch.zeros(*rows.shape, math.prod(self.bank.values.shape[2:]), device=self.device)
        found[held] = select_maps(self.bank, local[held], classes[held], self.device)
        return self.peers.sum(found)

    def sum_of_squares(self, peers: Peers) -> tuple[float, int]:
        """Sum of squares of this worker's share of the maps, and the number of values; additive over workers.

        rms = sqrt(sum / count)
        """
        chunks = self._part(peers).split(ROWS_AT_ONCE)
        squares = sum(float(chunk.float().square().sum(dtype=torch.float64)) for chunk in chunks)
        return squares, sum(chunk.numel() for chunk in chunks)

    def window_squares(self, peers: Peers, window: int) -> tuple[float, int]:
        """Sum of squares of the window energies, centred per frame over the classes, and the number of values.

        Energies are centred because only their differences between the classes of a frame affect the ranking.

        Args:
            peers: worker group.
            window: side of the window, in map cells.
        """
        squares, count = 0.0, 0
        for chunk in self._part(peers).split(ROWS_AT_ONCE):
            energies = window_energy(chunk, window=window)
            squares += float((energies - energies.mean(1, keepdim=True)).square().sum(dtype=torch.float64))
            count += energies.numel()
        return squares, count

    def _part(self, peers: Peers) -> Tensor:
        """This worker's share of the maps."""
        maps = self.bank.values
        if self.peers is not None:
            return maps
        start, stop = (len(maps) * rank // peers.size for rank in (peers.rank, peers.rank + 1))
        return maps[start:stop]


class Losses(NamedTuple):
    """Losses per sample.

    Attributes:
        ranking, triplet: losses for reports.
        counted: triplet losses for mining and training.
    """

    ranking: Float[Tensor, "sample"]
    triplet: Float[Tensor, "sample"]
    counted: Float[Tensor, "sample"]

    def active(self, samples: int) -> Float[Tensor, "2"]:
        """Share of `samples`, those of all workers, whose ranking and triplet hinges are active."""
        return torch.stack([(loss > 0).to(loss.dtype).sum() for loss in (self.ranking, self.triplet)]) / samples


class Step(NamedTuple):
    """Losses of one update.

    Attributes:
        loss: mean training loss over the samples of the update.
        random_ranking: mean ranking loss of random samples, which controls the candidate schedule.
        random_triplet: mean triplet loss of random samples.
        active_ranking, active_triplet: share of the samples of the update whose loss is not zero.
    """

    loss: float
    random_ranking: float
    random_triplet: float
    active_ranking: float
    active_triplet: float


class EnergyTrainer:
    """Trainer of an EnergyNet on one device, with optimiser and candidate schedule.

    Args:
        net: network with its initial weights, on the device of the maps.
        maps: maps of the training videos.
        sampler: sampler of their rows, with `samples_per_update(config)` samples per update.
        config: settings of the training.
        peers: worker group.
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
        """Perform an update.

        Args:
            number: index of the update, from 0.
        """
        # Random samples come first, because the number of candidates may grow.
        drawn = self._samples(number)[: self.config.num_random + self.schedule.candidates]
        maps, ahead = self._gather(drawn)
        hard, random = self._mine(drawn, maps, ahead)
        chosen = torch.cat([self._extra, hard])
        own = chosen[self._peers.rank :: self._peers.size]
        losses = self._losses(drawn[own], maps.index_select(1, own), ahead[own])
        joint = self._joint(losses)
        self.optimizer.zero_grad()
        (joint.sum() / len(chosen)).backward()
        if self.config.num_random:
            extra = own < self.config.num_random
            random = torch.stack([(loss.detach() * extra).sum() for loss in losses[:2]]) / self.config.num_random
        mean = joint.detach().sum()[None] / len(chosen)
        sums = torch.cat([mean, random, losses.active(len(chosen))])
        step = Step(*sum_gradients(self.net, sums, self._peers))
        self.optimizer.step()
        self.schedule.observe(step.random_ranking)
        return step

    @torch.no_grad()
    def measure(self) -> Step:
        """Compute the mean losses of all samples drawn for the first update, without an optimiser step."""
        drawn = self._samples(0)
        maps, ahead = self._gather(drawn)
        own = torch.arange(len(drawn.has_positive), device=ahead.device)[self._peers.rank :: self._peers.size]
        losses = self._losses(drawn[own], maps.index_select(1, own), ahead[own])
        sums = torch.stack([self._joint(losses).sum(), losses.ranking.sum(), losses.triplet.sum()])
        return Step(*self._peers.sum(torch.cat([sums / len(ahead), losses.active(len(ahead))])).tolist())

    def anchors(self) -> tuple[Tensor, Tensor]:
        """Maps and classes of this worker's share of a fixed random sample of a few thousand true maps."""
        block = self._sampler.block(0)
        maps = self._maps.select(block.rows[1], block.classes[1]).flatten(0, 1)
        part = slice(self._peers.rank, None, self._peers.size)
        return maps[part], block.classes[1].flatten()[part]

    @torch.no_grad()
    def centre(self) -> None:
        """Centre the network so that the mean embedding of the maps of `anchors` is zero."""
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
        """Maps of the four branches, and the start energy of the false class minus that of the true class."""
        maps = self._maps.select(drawn.rows, drawn.classes)
        false, true = self.net.start_energy(maps[:2])
        if self.config.mirror:  # mirroring does not change window energies
            odd = maps[:, 1::2].unflatten(-1, self.net.map_shape)
            maps[:, 1::2] = odd.flip(-1).flatten(-2)
        return maps, false - true

    @torch.no_grad()
    def _mine(self, drawn: Quadruples, maps: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the hardest candidates, and this worker's share of the mean losses of all candidates."""
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
            # A loss above the margin means that the negative is nearer than the positive.
            counted = torch.where(triplet > config.triplet_margin, 0, triplet)
        ranking = energy_ranking_loss(energy[0] + ahead, energy[1], margin=config.energy_margin)
        return Losses(ranking, triplet, counted)

    def _joint(self, losses: Losses) -> Tensor:
        return torch.add(losses.ranking, losses.counted, alpha=self.config.triplet_weight)


def samples_per_update(config: EnergyConfig) -> int:
    """Number of samples of an update: the final number of candidates plus the random samples."""
    return config.candidates_final + config.num_random
