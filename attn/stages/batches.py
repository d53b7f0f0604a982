"""Batches of cached images: their order, random flips, and each worker's share."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Int, Int8, UInt8

from attn.models.finetune import Batch
from attn.stages.flow.stacks import mirrored as mirrored_stacks
from attn.stages.flow.stacks import stacked


@dataclasses.dataclass(frozen=True)
class Order:
    """Order of one pass over n images, equal for all workers: it depends only on seed, epoch and labels.

    Attributes:
        batches: positions (0 to n-1) of the images of each batch. Each position occurs once, or all classes occur
            equally often.
        mirrored: mask of the positions whose image is flipped left to right in this pass.
    """

    batches: list[Int[np.ndarray, "image"]]
    mirrored: Bool[np.ndarray, "image"]


def epoch_order(
    num_images: int, batch_size: int, *, seed: int, epoch: int, labels: Int[np.ndarray, "image"] | None = None
) -> Order:
    """Random order, divided into batches whose sizes differ by at most one.

    Sizes are equal so that a small last batch does not make as large a step as a full one, and every worker has images.

    Args:
        num_images: n.
        batch_size: maximum size of a batch.
        seed: seed of the run.
        epoch: epoch, from 0.
        labels: class ids, for an order in which all classes occur equally often; None to use each image once.

    Source: Li et al. 2017, section 4.2 (mini-batches of 32, random horizontal flips).
    """
    random = np.random.default_rng([seed, epoch])
    order, mirrored = random.permutation(num_images), random.random(num_images) < 0.5
    if labels is not None:
        order = _balanced(labels, random)[order]
    return Order(np.array_split(order, num_batches(num_images, batch_size)), mirrored)


def _balanced(labels: Int[np.ndarray, "image"], random: np.random.Generator) -> Int[np.ndarray, "image"]:
    """Positions 0 to n-1 if all C classes have one size; otherwise n/C of each, repeated in small classes.

    If C does not divide n, randomly chosen classes (new in each epoch) get one more.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    if sizes.min() == sizes.max():
        return np.arange(len(labels))
    wanted = len(labels) // len(classes) + (random.permutation(len(classes)) < len(labels) % len(classes))
    members = [random.permutation(np.flatnonzero(labels == one)) for one in classes]
    return np.concatenate([np.resize(some, count) for some, count in zip(members, wanted, strict=True)])


def mixed_order(labels: Int[np.ndarray, "image"], sizes: Sequence[int], *, seed: int, epoch: int) -> Order:
    """Order of the images that are mixed into the batches of an epoch.

    The order consists of shuffled rounds with one image of each class, so that every batch is as balanced as possible.
    Each class cycles through its images, and an epoch continues after the previous one, so all images are used even if
    epochs are short.

    Args:
        labels: class ids of all n images.
        sizes: number of mixed images in each batch; equal in all epochs.
        seed: seed of the run.
        epoch: epoch, from 0.
    """
    classes = np.unique(labels)
    rounds = -(-sum(sizes) // len(classes))
    turns = [
        _turns(np.flatnonzero(labels == one), epoch * rounds, rounds, seed=(seed, place))
        for place, one in enumerate(classes)
    ]
    random = np.random.default_rng([seed, epoch, 1])  # not 0 at the end, which gives the generator of `epoch_order`
    order = random.permuted(np.stack(turns, axis=1), axis=1).ravel()[: sum(sizes)]
    return Order(np.split(order, np.cumsum(sizes)[:-1]), random.random(len(labels)) < 0.5)


def _turns(
    members: Int[np.ndarray, "member"], first: int, count: int, *, seed: tuple[int, int]
) -> Int[np.ndarray, "turn"]:
    """Section (`count` entries from `first`) of an infinite sequence of shuffled passes over the members."""
    begun = first // len(members)
    passes = range(begun, -(-(first + count) // len(members)))
    turns = np.concatenate([np.random.default_rng([*seed, one, 2]).permutation(members) for one in passes])
    return turns[first - begun * len(members) :][:count]


def joined(own: Batch, mixed: Batch) -> Batch:
    """Concatenate two batches; images of the second are counted separately, as mixed."""
    images, labels = torch.cat([own.images, mixed.images]), torch.cat([own.labels, mixed.labels])
    return Batch(images, labels, own.total + mixed.total, mixed=len(mixed.labels))


def num_batches(num_images: int, batch_size: int) -> int:
    """Number of batches of one pass, which is the number of updates of an epoch."""
    return -(-num_images // batch_size)


class Photographs:
    """Subset of the images of a cache, or of its stacks of optical flow, with labels.

    Args:
        pixels: images of the whole cache.
        labels: class ids of the whole cache.
        members: rows of the subset; positions are indices into it.
        device: device of the batches.
        stacks: for optical flow, the rows of the flows in each stack; None for images.
    """

    def __init__(
        self,
        pixels: UInt8[np.ndarray, "image row col rgb"] | Int8[np.ndarray, "frame 2 row col"],
        labels: Int[np.ndarray, "image"],
        members: Int[np.ndarray, "member"],
        device: torch.device,
        stacks: Int[np.ndarray, "frame step"] | None = None,
    ):
        self._pixels, self._members, self._device, self._stacks = pixels, members, device, stacks
        self._labels = torch.from_numpy(labels.astype(np.int64))

    @property
    def labels(self) -> Int[np.ndarray, "member"]:
        """Class ids of the members."""
        return self._labels[self._members].numpy()

    def __len__(self) -> int:
        return len(self._members)

    def shares(self, order: Order, *, worker: int, workers: int) -> Iterator[Batch]:
        """Yield a worker's share of each batch of a pass; shares differ by at most one image."""
        for batch in order.batches:
            share = np.array_split(batch, workers)[worker]
            yield self._load(share, order.mirrored[share], len(batch))

    def share(self, batch_size: int, *, worker: int, workers: int) -> Iterator[Batch]:
        """Yield a worker's share of the subset in batches, without flips."""
        own = np.array_split(np.arange(len(self)), workers)[worker]
        for start in range(0, len(own), batch_size):
            positions = own[start : start + batch_size]
            yield self._load(positions, np.zeros(len(positions), dtype=bool), len(positions))

    def _load(self, positions: np.ndarray, mirrored: np.ndarray, total: int) -> Batch:
        rows = self._members[positions]
        if self._stacks is None:
            images = torch.from_numpy(np.asarray(self._pixels[rows]))
            images[mirrored] = images[mirrored].flip(2)
        else:
            stacks = stacked(self._pixels[self._stacks[rows]])
            stacks[mirrored] = mirrored_stacks(stacks[mirrored])
            images = torch.from_numpy(stacks)
        return Batch(images.to(self._device), self._labels[rows].to(self._device), total)
