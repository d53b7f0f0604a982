"""Batches of cached photographs: who comes when, who is mirrored, and which share of them a worker takes."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8

from attn.models.finetune import Batch


@dataclasses.dataclass(frozen=True)
class Order:
    """One pass over n images, the same for all workers: it depends on seed and epoch alone.

    Attributes:
        batches: positions 0…n-1, each once.
        mirrored: per position, whether the image is flipped left to right this time.
    """

    batches: list[Int[np.ndarray, "image"]]
    mirrored: Bool[np.ndarray, "image"]


def epoch_order(num_images: int, batch_size: int, *, seed: int, epoch: int) -> Order:
    """A random order, cut into batches whose sizes differ by one at most.

    Equal sizes, so that no small last batch steps as far as a full one, or leaves a worker without an image.

    Args:
        num_images: n.
        batch_size: no batch is larger.
        seed: of the run.
        epoch: counted from 0.

    Source: Li et al. 2017, section 4.2 (mini-batches of 32, random horizontal flips).
    """
    random = np.random.default_rng([seed, epoch])
    order, mirrored = random.permutation(num_images), random.random(num_images) < 0.5
    return Order(np.array_split(order, num_batches(num_images, batch_size)), mirrored)


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
