"""Batches of cached pictures: which come when, which are mirrored, and which share of them a worker takes."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8

from attn.models.finetune import Batch


@dataclasses.dataclass(frozen=True)
class Order:
    """One pass over n images, the same for all workers: it depends on seed, epoch and labels alone.

    Attributes:
        batches: positions 0…n-1, each once; or some of them of which each class has as many.
        mirrored: per position, whether the image is flipped left to right this time.
    """

    batches: list[Int[np.ndarray, "image"]]
    mirrored: Bool[np.ndarray, "image"]


def epoch_order(
    num_images: int, batch_size: int, *, seed: int, epoch: int, labels: Int[np.ndarray, "image"] | None = None
) -> Order:
    """A random order, cut into batches whose sizes differ by one at most.

    Equal sizes, so that no small last batch steps as far as a full one, or leaves a worker without an image.

    Args:
        num_images: n.
        batch_size: no batch is larger.
        seed: of the run.
        epoch: counted from 0.
        labels: class ids, for an order in which all classes come equally often; None for each image once.

    Source: Li et al. 2017, section 4.2 (mini-batches of 32, random horizontal flips).
    """
    random = np.random.default_rng([seed, epoch])
    order, mirrored = random.permutation(num_images), random.random(num_images) < 0.5
    if labels is not None:
        order = _balanced(labels, random)[order]
    return Order(np.array_split(order, num_batches(num_images, batch_size)), mirrored)


def _balanced(labels: Int[np.ndarray, "image"], random: np.random.Generator) -> Int[np.ndarray, "image"]:
    """Positions 0…n-1 if all C classes are of one size; else n/C of each, some of small classes repeated.

    If C does not divide n, classes drawn again for each epoch get one more.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    if sizes.min() == sizes.max():
        return np.arange(len(labels))
    wanted = len(labels) // len(classes) + (random.permutation(len(classes)) < len(labels) % len(classes))
    members = [random.permutation(np.flatnonzero(labels == one)) for one in classes]
    return np.concatenate([np.resize(some, count) for some, count in zip(members, wanted, strict=True)])


def mixed_order(labels: Int[np.ndarray, "image"], sizes: Sequence[int], *, seed: int, epoch: int) -> Order:
    """The images that go beside the batches of an epoch, in an order of their own without end.

    It runs in rounds of one image of each class, shuffled, so that every batch is as balanced as can be. Each class
    goes through its images again and again, and an epoch begins where the one before has ended: small epochs come to
    all images too.

    Args:
        labels: class ids of all n images.
        sizes: images of each batch; the same in every epoch.
        seed: random state of the run.
        epoch: counted from 0.
    """
    classes = np.unique(labels)
    rounds = -(-sum(sizes) // len(classes))
    turns = [
        _turns(np.flatnonzero(labels == one), epoch * rounds, rounds, seed=(seed, place))
        for place, one in enumerate(classes)
    ]
    random = np.random.default_rng([seed, epoch, 1])  # zeros at the end would make it that of `epoch_order`
    order = random.permuted(np.stack(turns, axis=1), axis=1).ravel()[: sum(sizes)]
    return Order(np.split(order, np.cumsum(sizes)[:-1]), random.random(len(labels)) < 0.5)


def _turns(
    members: Int[np.ndarray, "member"], first: int, count: int, *, seed: tuple[int, int]
) -> Int[np.ndarray, "turn"]:
    """So many places, from one on, of endless passes over some images, each pass in another order."""
    begun = first // len(members)
    passes = range(begun, -(-(first + count) // len(members)))
    turns = np.concatenate([np.random.default_rng([*seed, one, 2]).permutation(members) for one in passes])
    return turns[first - begun * len(members) :][:count]


def joined(own: Batch, mixed: Batch) -> Batch:
    """One batch of two: the images of the second are counted apart."""
    images, labels = torch.cat([own.images, mixed.images]), torch.cat([own.labels, mixed.labels])
    return Batch(images, labels, own.total + mixed.total, mixed=len(mixed.labels))


def num_batches(num_images: int, batch_size: int) -> int:
    """Batches of one pass, which is updates of an epoch."""
    return -(-num_images // batch_size)


class Photographs:
    """Some images of a cache, with their labels.

    Args:
        pixels: of the whole cache.
        labels: class ids, of the whole cache.
        members: rows that belong to this collection; positions count in it.
        device: where batches go.
    """

    def __init__(
        self,
        pixels: UInt8[np.ndarray, "image row col rgb"],
        labels: Int[np.ndarray, "image"],
        members: Int[np.ndarray, "member"],
        device: torch.device,
    ):
        self._pixels, self._members, self._device = pixels, members, device
        self._labels = torch.from_numpy(labels.astype(np.int64))

    @property
    def labels(self) -> Int[np.ndarray, "member"]:
        """Class ids of the members."""
        return self._labels[self._members].numpy()

    def __len__(self) -> int:
        return len(self._members)

    def shares(self, order: Order, *, worker: int, workers: int) -> Iterator[Batch]:
        """A worker's part of every batch of a pass; the parts differ by one image at most."""
        for batch in order.batches:
            share = np.array_split(batch, workers)[worker]
            yield self._load(share, order.mirrored[share], len(batch))

    def share(self, batch_size: int, *, worker: int, workers: int) -> Iterator[Batch]:
        """A worker's part of the collection, unmirrored."""
        mine = np.array_split(np.arange(len(self)), workers)[worker]
        for start in range(0, len(mine), batch_size):
            positions = mine[start : start + batch_size]
            yield self._load(positions, np.zeros(len(positions), dtype=bool), len(positions))

    def _load(self, positions: np.ndarray, mirrored: np.ndarray, total: int) -> Batch:
        rows = self._members[positions]
        images = torch.from_numpy(np.asarray(self._pixels[rows]))
        images[mirrored] = images[mirrored].flip(2)
        return Batch(images.to(self._device), self._labels[rows].to(self._device), total)
