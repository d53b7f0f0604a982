"""Web images that are mixed into every batch of frames during fine-tuning."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from attn.models.finetune import Batch
from attn.stages.batches import Order, Photographs, joined, mixed_order
from attn.training.cnn_flags import own_batch_size
from attn.training.cnn_job import TrainJob
from attn.training.cnn_pictures import as_begun, skipped_names
from attn.training.group import Group
from attn.training.pictures import WebImages
from attn.training.pixels import ImageCache


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Mixed-in Web images; seed and epoch determine their order, independently of the number of workers.

    Attributes:
        pictures: Web images; their held-out images are not trained on.
        cache: pixels of the images on this machine.
        group: workers that share every batch.
        most: maximum number of images per batch.
        seed: random seed of the training.
    """

    pictures: WebImages
    cache: ImageCache
    group: Group
    most: int
    seed: int

    @classmethod
    def of(cls, job: TrainJob, cache: ImageCache, group: Group) -> "Mixture | None":
        """Create the mixture of a training; None without Web images."""
        most = job.options.batch_size - own_batch_size(job.options)
        return None if job.mixed is None else cls(job.mixed, cache, group, most, job.options.seed)

    def as_begun(self, before: Mapping[str, str], run_url: str) -> "Mixture":
        """Return a mixture of the images that the training started with, see `cnn_pictures.as_begun`."""
        return dataclasses.replace(self, cache=as_begun(self.pictures, self.cache, before, run_url))

    @property
    def record(self) -> dict[str, Any]:
        """Number of training images, and unusable images, for the checkpoint."""
        return {"images": len(self._train_rows), "skipped": skipped_names(self.pictures, self.cache)}

    def sizes(self, order: Order) -> list[int]:
        """Return the number of mixed-in images of each batch: as many as its own, at most `most`."""
        return [min(len(batch), self.most) for batch in order.batches]

    def beside(self, batches: Iterator[Batch], order: Order, epoch: int) -> Iterator[Batch]:
        """Add this worker's share of the Web images to its share of the batches of an epoch."""
        images = self._photographs
        mixed = mixed_order(images.labels, self.sizes(order), seed=self.seed, epoch=epoch)
        shares = images.shares(mixed, worker=self.group.rank, workers=self.group.size)
        return map(joined, batches, shares)

    @property
    def _photographs(self) -> Photographs:
        return Photographs(self.cache.pixels, self.pictures.labels, self._train_rows, self.group.device)

    @property
    def _train_rows(self) -> np.ndarray:
        """Rows of the training images."""
        good = np.array([row for row in range(len(self.cache.pixels)) if row not in self.cache.skipped])
        return good[~self.pictures.held_out(good)]
