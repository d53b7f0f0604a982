"""Fine-tuning of a CNN on one worker: its share of the images, epochs of updates, validation.

All workers make the same decisions: seed and epoch determine the order of the images, and errors and losses are
exchanged before any worker stops, so that none waits for a worker that has stopped.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attn.errors import UsageError
from attn.models.checkpoint import Cnn
from attn.models.finetune import (
    Batch,
    Normaliser,
    Tally,
    Validation,
    make_optimizer,
    set_rates,
    train_mode,
    update,
    validate,
)
from attn.models.start_average import StartAverage
from attn.stages.batches import Order, Photographs, epoch_order, num_batches
from attn.training.cnn_flags import own_batch_size
from attn.training.cnn_job import TrainJob
from attn.training.cnn_mixture import Mixture
from attn.training.cnn_pictures import as_begun, skipped_names
from attn.training.cnn_rows import ACCURACY, MIXED_LOSS, VALIDATION_LOSS, best_row, signs_of_life
from attn.training.diverged import check_losses, check_weights
from attn.training.finetune_config import DRAWN_LR, LR
from attn.training.group import Group
from attn.training.pixels import ImageCache
from attn.training.recipe import PAPER
from attn.training.state import State, plain
from attn.training.status import Row
from attn.training.untrained import UNTRAINED, Chance, epoch_signs

# Losses are read from the device after this number of updates, because each read waits for the device. A loss that is
# not finite is detected at most this many updates later.
READ_EVERY = 50
MOST_WATCHED = 512


class CnnLearner:
    """A CNN in training on one worker, see `attn.training.loop.Learner`.

    Args:
        job: training.
        cnn: initial network; modified in place.
        cache: pixels of the images.
        group: this worker and its group.
        note: callback that receives the current activity.
        mixed: pixels of the mixed-in Web images.
    """

    unit, lr_flags = "epoch", "--lr and --head-lr"

    def __init__(
        self,
        job: TrainJob,
        cnn: Cnn,
        cache: ImageCache,
        group: Group,
        note: Callable[[str], None],
        mixed: ImageCache | None = None,
    ):
        self.job, self.group, self._note = job, group, note
        self.kept: dict[str, Tensor] = {}  # weights of the best epoch; empty if they are the current ones
        self.kept_epoch = 0
        self.own_batch_size = own_batch_size(job.options)
        self.mixture = Mixture.of(job, mixed, group) if mixed else None
        self._choose(cache)
        self._build(cnn)

    def _choose(self, cache: ImageCache) -> None:
        """Split the images into training and held-out images."""
        pictures, device = self.job.pictures, self.group.device
        self.cache, self.skipped = cache, skipped_names(pictures, cache)
        good = np.array([row for row in range(len(cache.pixels)) if row not in cache.skipped])
        held = pictures.held_out(good)
        self.held = pictures.names(good[held])
        self.train = Photographs(cache.pixels, pictures.labels, good[~held], device, cache.stacks)
        # Without held-out images, some training images are used to check that the network still tells classes apart.
        watched = good[held] if held.any() else good[:: -(-len(good) // MOST_WATCHED)]
        self.watched = Photographs(cache.pixels, pictures.labels, watched, device, cache.stacks)
        self.chance = self._chance(pictures.names(good[~held]))
        batches = num_batches(len(self.train), self.own_batch_size)
        self.passes = -(-(self.job.options.epoch_updates or 1) // batches)
        self.updates = self.passes * batches

    @property
    def all_skipped(self) -> dict[str, str]:
        """Unusable images: name → reason."""
        return {**self.skipped, **(self.mixture.record["skipped"] if self.mixture else {})}

    def _chance(self, trained: Sequence[str]) -> Chance:
        """Accuracy and loss at chance level."""
        train, held = (np.bincount(images.labels).tolist() for images in (self.train, self.watched))
        if self.job.options.balanced:
            train = [1] * int(np.count_nonzero(train))
        counts = {"train_count": len(trained), "validation_count": len(self.held)}
        return Chance.of(train, held if self.held else [], **counts)

    def _build(self, cnn: Cnn) -> None:
        options, self.backbone = self.job.options, cnn.backbone.to(memory_format=torch.channels_last)
        torch.backends.cudnn.deterministic = True
        self.normalise = Normaliser(*cnn.normalisation, self.group.device)
        # Frozen statistics are equal on all workers; others are broadcast from the first worker before every update.
        settings = {"broadcast_buffers": not self.job.freeze_batchnorm or self.job.partial_batchnorm}
        self.average = StartAverage(self.backbone, self.job.start_share)
        self.model = self.group.wrapped(self.backbone, **settings)
        parts = {"all": self.backbone, "classifier": self.backbone.classifier, "nothing": None}
        self.optimizer = make_optimizer(
            self.backbone,
            parts[self.job.fresh],
            lr=options.lr or LR,  # never None here, see `filled`
            fresh_lr=options.head_lr or DRAWN_LR,
            momentum=options.momentum,
            weight_decay=options.weight_decay,
        )

    @property
    def refusal(self) -> UsageError | None:
        """Error if the number of workers or of images is unsuitable; None otherwise."""
        smallest = len(self.train) * self.passes // self.updates
        if smallest < self.group.size:
            noun = self.job.pictures.noun
            return UsageError(f"--workers {self.group.size}: some batches have only {smallest} {noun}. Give fewer.")
        if self.job.pictures.validated and not self.held:
            images = self.job.options.images
            return UsageError(f"{images}: no image is left for validation. Give at least two images of some class.")
        return None

    def prepare(self) -> None:
        pass

    def is_over(self, rows: Sequence[Row]) -> bool:
        return bool(rows) and rows[-1]["epoch"] >= self.job.epochs

    def restore(self, state: State) -> None:
        self.backbone.import_weights(state.weights)
        self.optimizer.load_state_dict(state.optimizer)
        record, url = state.record, self.job.run_url
        self._choose(as_begun(self.job.pictures, self.cache, record["skipped"], url))
        if self.mixture:
            self.mixture = self.mixture.as_begun(record["mixed"]["skipped"], url)
        self.kept_epoch = record["kept_epoch"]
        self.kept = state.best if self._keeps_others else {}

    def judge(self, rows: Sequence[Row]) -> None:
        """Keep the weights of the last epoch if it is the best one; without validation, always."""
        if best_row(rows, self.job.options.keep_by) is rows[-1]:
            self.kept_epoch = rows[-1]["epoch"]
            with self.average.applied():
                copy = self._keeps_others and self.group.rank == 0
                self.kept = plain(self.backbone.export_weights()) if copy else {}

    @property
    def _keeps_others(self) -> bool:
        """Whether the kept weights can differ from the current ones."""
        return bool(self.held or self.average.share)

    def state(self, rows: Sequence[Row]) -> State:
        record = {
            "rows": list(rows),
            "images": {"trained": len(self.train), "validated": len(self.watched) if self.held else 0},
            "skipped": self.skipped,
            "validation": self.held,
            **({"mixed": self.mixture.record} if self.mixture else {}),
            "kept_epoch": self.kept_epoch,
        }
        kept = self.kept if self.kept_epoch < rows[-1]["epoch"] or self.average.share else {}
        return State(self.backbone.export_weights(), kept, self.optimizer.state_dict(), record)

    def start_row(self) -> Row | None:
        """Row of epoch 0; None with a new classifier, without held-out images or with --recipe paper."""
        if self.job.options.recipe == PAPER or self.job.fresh != "nothing" or not self.held:
            return None
        started_s, validated = time.monotonic(), self._validate(-1)
        unknown = dict.fromkeys(("train_loss", "train_accuracy", "lr", "images_per_s"))
        return {
            "epoch": 0,
            **unknown,
            **({MIXED_LOSS: None} if self.mixture else {}),
            VALIDATION_LOSS: validated.mean_loss,
            ACCURACY: validated.accuracy,
            **signs_of_life(validated),
            "seconds": time.monotonic() - started_s,
        }

    def next_row(self, rows: Sequence[Row]) -> Row:
        return self._epoch(rows[-1]["epoch"] if rows else 0)

    def _epoch(self, epoch: int) -> dict[str, Any]:
        started_s = time.monotonic()
        trained, mixed = self._train(epoch)
        train_s = time.monotonic() - started_s
        check_weights(self.backbone.state_dict(), f"after epoch {epoch + 1}")
        validated, held = self._validate(epoch), bool(self.held)
        row = {
            "epoch": epoch + 1,
            "train_loss": trained.mean_loss,
            "train_accuracy": trained.accuracy,
            **({MIXED_LOSS: mixed.mean_loss} if self.mixture else {}),
            VALIDATION_LOSS: validated.mean_loss if held else None,
            ACCURACY: validated.accuracy if held else None,
            **signs_of_life(validated),
            "lr": self.optimizer.param_groups[-1]["lr"],
            "images_per_s": (trained.images + mixed.images) / train_s,
            "seconds": time.monotonic() - started_s,
        }
        seen_on = "validation" if held else "training"
        return {**row, UNTRAINED: epoch_signs(row, self.chance, self.job.options, seen_on)}

    def _train(self, epoch: int) -> tuple[Tally, Tally]:
        """Train for one epoch; return the tallies of the training images and of the mixed-in images."""
        options, seed = self.job.options, self.job.options.seed
        # The seed depends on the epoch, so that dropout is the same in a resumed run and in an uninterrupted one.
        torch.manual_seed(int(np.random.SeedSequence([seed, epoch, self.group.rank]).generate_state(1)[0]))
        train_mode(self.model, freeze_batchnorm=self.job.freeze_batchnorm, but_first=self.job.partial_batchnorm)
        passes = range(epoch * self.passes, (epoch + 1) * self.passes)
        orders = {number: self._order(number) for number in passes}
        batches = itertools.chain.from_iterable(self._batches(order, number) for number, order in orders.items())
        loss = correct = mixed_loss = 0.0
        unread: list[torch.Tensor] = []
        for number, batch in enumerate(batches, 1):
            self._set_rates(epoch * self.updates + number - 1)
            unread.append(
                update(
                    *(self.model, self.optimizer, self.normalise, batch),
                    workers=self.group.size,
                    clip_norm=options.clip_norm or 0.0,
                )
            )
            self._note(f"epoch {epoch + 1}: update {number} of {self.updates}")
            if number % READ_EVERY == 0 or number == self.updates:
                sums = self.group.sum(torch.stack(unread))
                check_losses(sums[:, 0] + sums[:, 2], epoch, number - len(unread) + 1)
                more_loss, more_correct, more_mixed_loss = sums.sum(dim=0).tolist()
                loss, correct, mixed_loss = loss + more_loss, correct + more_correct, mixed_loss + more_mixed_loss
                unread = []
        images = float(len(self.train) * self.passes)
        mixed = float(sum(sum(self.mixture.sizes(order)) for order in orders.values())) if self.mixture else 0.0
        return Tally(loss, correct, images), Tally(mixed_loss, 0.0, mixed)

    def _order(self, number: int) -> Order:
        """Order of a pass over the training images, counted from 0 over all epochs."""
        options = self.job.options
        labels = self.train.labels if options.balanced else None
        return epoch_order(len(self.train), self.own_batch_size, seed=options.seed, epoch=number, labels=labels)

    def _batches(self, order: Order, number: int) -> Iterator[Batch]:
        """Yield this worker's share of the batches of a pass."""
        batches = self.train.shares(order, worker=self.group.rank, workers=self.group.size)
        return self.mixture.beside(batches, order, number) if self.mixture else batches

    def _set_rates(self, update: int) -> None:
        """Set the learning rates for an update, counted from 0."""
        options, updates = self.job.options, self.job.epochs * self.updates
        set_rates(
            *(self.optimizer, update, updates),
            decay_after=options.lr_decay_after,
            decay=options.lr_decay,
            warmup=options.warmup,
        )

    def _validate(self, epoch: int) -> Validation:
        """Validate on the held-out images, or on some training images without any, shared by the workers."""
        size, group = self.job.options.batch_size, self.group
        share = self.watched.share(size, worker=group.rank, workers=group.size)
        with self.average.applied():
            own = validate(self.backbone, self.normalise, share)
        validated = Validation.together(group.gather(own))
        check_losses(torch.tensor([validated.loss]), epoch, self.updates)
        return validated
