"""Updates of a network of clips, in one process or a worker group.

All workers draw the same clips. Each computes the gradient of its share, and the sum is that of a single process: the
noise belongs to a clip, and BatchNorm uses the statistics of the whole batch.

Source: Liu et al. 2019; optimisation: file defaults of 2020aptx4869lm/Forecasting-Human-Object-Interaction-in-FPV.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD

from attn.losses.attention_kl import attention_kl
from attn.models.attention_distillation import ClipCnn
from attn.models.clip_file import TrainedClipCnn
from attn.models.clip_input import ClipInput
from attn.stages.batches import epoch_order
from attn.stages.clip_config import ClipConfig
from attn.training.ahead import Ahead
from attn.training.clip_data import ClipData, ClipNoise, Place
from attn.training.joint_batchnorm import join_batchnorm
from attn.training.peers import Peers, sum_gradients


class ClipBatch(NamedTuple):
    """A worker's share of an update.

    Attributes:
        clips: clips of the network as stored.
        flow: clips of the teacher; None without one.
        labels: class ids.
        numbers: number of each clip in the update.
        total: number of clips of all workers.
    """

    clips: Tensor
    flow: Tensor | None
    labels: Tensor
    numbers: list[int]
    total: int


class Step(NamedTuple):
    """Figures of one update, means over its clips.

    Attributes:
        loss: training loss.
        cross_entropy: smoothed cross-entropy.
        motion_kl: divergence of the motion map from the teacher's map, without its weight; 0 without a teacher.
        prior_kl: divergence of the appearance map, or of the only map, from uniform attention, without its weight.
        accuracy: share of clips whose class has the largest logit.
        clips: number of clips.
    """

    loss: float
    cross_entropy: float
    motion_kl: float
    prior_kl: float
    accuracy: float
    clips: int


def new_optimizer(net: ClipCnn, config: ClipConfig, *, pretrained: bool) -> SGD:
    """SGD with Nesterov momentum; biases and BatchNorm have no L2 penalty, and new layers a higher rate.

    Args:
        net: network.
        config: settings.
        pretrained: whether the backbone has trained weights; otherwise all layers are new.

    Source: as above. Differs: that code finds BatchNorm by the letters bn in a name.
    """
    new = {id(weight) for part in net.head for weight in part.parameters()}
    free = {id(weight) for layer in net.modules() if isinstance(layer, _BatchNorm) for weight in layer.parameters()}
    free |= {id(weight) for name, weight in net.named_parameters() if name.endswith("bias")}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for weight in net.parameters():
        factor = config.head_lr_factor if id(weight) in new or not pretrained else 1.0
        decay = 0.0 if id(weight) in free else config.weight_decay
        groups.setdefault((factor * config.learning_rate, decay), []).append(weight)
    described = [
        {"params": weights, "lr": rate, "full_lr": rate, "weight_decay": decay}
        for (rate, decay), weights in groups.items()
    ]
    return SGD(described, momentum=config.momentum, nesterov=config.momentum > 0)


def set_cosine_rates(optimizer: SGD, update: int, updates: int) -> None:
    """Set the learning rates of an update: full · (1 + cos(π · update / updates)) / 2.

    Args:
        optimizer: optimizer of `new_optimizer`.
        update: index of the update, from 0.
        updates: number of updates of the whole training.
    """
    for group in optimizer.param_groups:
        group["lr"] = group["full_lr"] * 0.5 * (1 + math.cos(math.pi * update / updates))


@torch.no_grad()
def teacher_logits(
    teacher: TrainedClipCnn, flow: Int8[Tensor, "clip chan t h w"]
) -> Float[Tensor, "clip time row col"]:
    """Logits of a teacher's map, without noise and gradients."""
    return teacher.net(teacher.input.normalised(flow)).attention[:, 0]


class ClipTrainer:
    """Trainer of a network of clips on one device, with its optimizer.

        L = mean over clips of CE + λ_M KL(P_M, P_F) + λ_A KL(P_A, uniform),   λ = weight · log C

    Args:
        net: network with its initial weights, on its device.
        data: clips of the training videos.
        taken: input of the network.
        config: settings.
        peers: worker group.
        teacher: network of flow, in evaluation mode and without gradients; None without one.
        pretrained: whether the backbone has trained weights.
    """

    def __init__(
        self,
        net: ClipCnn,
        data: ClipData,
        taken: ClipInput,
        config: ClipConfig,
        peers: Peers,
        *,
        teacher: TrainedClipCnn | None = None,
        pretrained: bool = False,
    ) -> None:
        self.net, self.config, self.teacher = net, config, teacher
        self.optimizer = new_optimizer(net, config, pretrained=pretrained)
        join_batchnorm(net, peers)
        self._data, self._input, self._peers = data, taken, peers
        self._batches = Ahead(self._batch)

    def close(self) -> None:
        """End the thread that makes the next batch; the network stays usable."""
        self._batches.close()

    @property
    def updates_per_epoch(self) -> int:
        """Number of updates of an epoch, whose sizes differ by at most one clip."""
        return -(-len(self._data.table.video_ids) // self.config.batch)

    def update(self, number: int) -> Step:
        """Perform an update.

        Args:
            number: index of the update, from 0; decides its clips and all random numbers.
        """
        batch, device = self._batches.take(number), next(self.net.parameters()).device
        set_cosine_rates(self.optimizer, number, self.config.epochs * self.updates_per_epoch)
        labels = batch.labels.to(device)
        noise = ClipNoise([self.config.seed, number], batch.numbers)
        clips = self._input.normalised(batch.clips.to(device))
        output = self.net.train()(clips, noise)
        cross_entropy = F.cross_entropy(
            output.logits, labels, label_smoothing=self.config.label_smoothing, reduction="sum"
        )
        motion_kl, prior_kl = self._divergences(output.attention, batch.flow)
        scale = math.log(output.logits.shape[1])
        weighted = self.config.distillation_weight * motion_kl + self.config.prior_weight * prior_kl
        loss = (cross_entropy + scale * weighted) / batch.total
        self.optimizer.zero_grad()
        loss.backward()
        correct = (output.logits.argmax(1) == labels).sum()
        figures = torch.stack([cross_entropy, motion_kl, prior_kl, correct.float()]).detach() / batch.total
        means = sum_gradients(self.net, torch.cat([loss.detach()[None], figures]), self._peers)
        self.optimizer.step()
        loss_mean, cross_entropy_mean, motion, uniform, accuracy = means
        return Step(loss_mean, cross_entropy_mean, motion, uniform, accuracy, batch.total)

    def _divergences(self, attention: Tensor, flow: Tensor | None) -> tuple[Tensor, Tensor]:
        """Sums over the clips of the divergences from the teacher and from uniform attention."""
        nothing, temperature = attention.new_zeros(()), self.net.architecture.temperature
        if not attention.shape[1]:
            return nothing, nothing
        prior = attention_kl(attention[:, -1], temperature=temperature).sum()
        if self.teacher is None or flow is None:
            return nothing, prior
        target = teacher_logits(self.teacher, flow.to(attention.device))
        if self.config.pool_teacher_maps:
            time, rows, cols = attention.shape[2:]
            target = F.adaptive_avg_pool3d(target, (time, rows, cols))
        motion = attention_kl(
            attention[:, 0],
            target,
            temperature=temperature,
            target_temperature=self.teacher.net.architecture.temperature,
            direction=self.config.kl,
        )
        return motion.sum(), prior

    def _batch(self, number: int) -> ClipBatch:
        """This worker's share of an update."""
        epoch, place = divmod(number, self.updates_per_epoch)
        config, data = self.config, self._data
        order = np.concatenate(batches := self._epoch(epoch))
        batch = batches[place]
        own = np.array_split(np.arange(len(batch)), self._peers.size)[self._peers.rank]
        seed = (config.seed, epoch)
        places = [data.draw(int(batch[i]), self._input.crop, seed, flip=config.flip) for i in own]
        labels = torch.from_numpy(data.table.labels[batch[own]])
        flow = None if self.teacher is None else data.clips_of_flow(self._taught(places, order))
        clips = data.clips_of_flow(places) if data.frames is None else data.clips_of_frames(places)
        return ClipBatch(clips, flow, labels, own.tolist(), len(batch))

    def _epoch(self, epoch: int) -> list[np.ndarray]:
        """Videos of each update of an epoch."""
        return epoch_order(
            len(self._data.table.video_ids), self.config.batch, seed=self.config.seed, epoch=epoch
        ).batches

    def _taught(self, places: list[Place], order: np.ndarray) -> list[Place]:
        """Clips that the teacher sees: the same ones, or in the control those of the next video in the order."""
        if not self.config.shuffle_teacher:
            return places
        following = dict(zip(order.tolist(), np.roll(order, -1).tolist(), strict=True))
        data, found = self._data, []
        for place in places:
            video = following[place.video]
            last = max(int(data.table.num_frames[video]) - data.sampling.span, 0)
            found.append(Place(video, min(place.start, last), place.view))
        return found
