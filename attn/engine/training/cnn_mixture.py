"""The Web images of which every update of a fine-tuning learns some, beside the frames that are its own."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from attn.engine.training.cnn_flags import own_batch_size
from attn.engine.training.cnn_job import TrainJob
from attn.engine.training.cnn_pictures import as_begun, skipped_names
from attn.engine.training.group import Group
from attn.models.finetune import Batch
from attn.stages.batches import Order, Photographs, joined, mixed_order
from attn.stages.pictures import WebImages
from attn.stages.pixels import ImageCache


@dataclasses.dataclass(frozen=True)
class Mixture:
    """The images that are mixed in, and when: seed and epoch decide, not the number of workers.

    Attributes:
        pictures: the images; those that they hold out are not learnt from.
        cache: their pixels on this machine.
        group: the workers, which share every batch.
        most: largest number of images in a batch.
        seed: random state of the training.
    """

    pictures: WebImages
    cache: ImageCache
    group: Group
    most: int
    seed: int

    @classmethod
    def of(cls, job: TrainJob, cache: ImageCache, group: Group) -> "Mixture | None":
        """That of a training; None without such images."""
        most = job.options.batch_size - own_batch_size(job.options)
        return None if job.mixed is None else cls(job.mixed, cache, group, most, job.options.seed)

    def as_begun(self, before: Mapping[str, str], run_url: str) -> "Mixture":
        """With the images that the training began with, see `as_begun` of the pictures."""
        return dataclasses.replace(self, cache=as_begun(self.pictures, self.cache, before, run_url))

    @property
    def record(self) -> dict[str, Any]:
        """How many are learnt from, and which cannot be used, for the state of a training."""
        return {"images": len(self._learnt), "skipped": skipped_names(self.pictures, self.cache)}

    def sizes(self, order: Order) -> list[int]:
        """Sizes of the batches beside those of an order: as large, but for an odd image."""
        return [min(len(batch), self.most) for batch in order.batches]

    def beside(self, batches: Iterator[Batch], order: Order, epoch: int) -> Iterator[Batch]:
        """This worker's share of the batches of an epoch, with its share of the images."""
        images = self._photographs
        mixed = mixed_order(images.labels, self.sizes(order), seed=self.seed, epoch=epoch)
        shares = images.shares(mixed, worker=self.group.rank, workers=self.group.size)
        return map(joined, batches, shares)

    @property
    def _photographs(self) -> Photographs:
        return Photographs(self.cache.pixels, self.pictures.labels, self._learnt, self.group.device)

    @property
    def _learnt(self) -> np.ndarray:
        """Rows of the images that are learnt from."""
        good = np.array([row for row in range(len(self.cache.pixels)) if row not in self.cache.skipped])
        return good[~self.pictures.held_out(good)]
