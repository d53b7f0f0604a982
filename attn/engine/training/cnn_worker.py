"""What each Ray Train worker does: prepare the images of its machine, then epochs of updates, look, checkpoint.

All workers decide alike: the order of the images follows from seed and epoch, a refusal or a loss that is not finite
is agreed upon before anybody stops, and so no one waits for a worker that has left.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray.train.torch
import torch
from torch import Tensor

from attn.engine.training.board import Pen
from attn.engine.training.checkpoint import load_state, plain_weights, save_state
from attn.engine.training.cnn_flags import own_batch_size
from attn.engine.training.cnn_job import TrainJob
from attn.engine.training.cnn_mixture import Mixture
from attn.engine.training.cnn_pictures import as_begun, ready, skipped_names, without_copies
from attn.engine.training.cnn_rows import ACCURACY, MIXED_LOSS, best_row, signs_of_life
from attn.engine.training.diverged import DivergedError, check_losses, check_weights
from attn.engine.training.group import Group
from attn.engine.training.keeper import FolderKeeper, Keeper, RayTrainKeeper
from attn.errors import UsageError
from attn.models.checkpoint import Cnn
from attn.models.finetune import Normaliser, Tally, Validation, make_optimizer, set_rates, train_mode, update, validate
from attn.models.start_average import StartAverage
from attn.stages.batches import Photographs, epoch_order, num_batches
from attn.stages.finetune_config import DRAWN_LR, LR
from attn.stages.pixels import ImageCache
from attn.stages.recipe import PAPER
from attn.stages.untrained import UNTRAINED, Chance, epoch_signs

# A loss that is not finite is found at most so many updates later; looking at it makes the device wait.
LOOK_EVERY = 50
MOST_WATCHED = 512


def train_worker(config: dict[str, Any]) -> UsageError | None:
    """The training loop of one worker, for `TorchTrainer`.

    Args:
        config: `job`, a `TrainJob`; `cnn`, a `Cnn`; `board`; `states`, URL of the checkpoints.

    Returns:
        Why the user must change something, or None when all epochs are done. Not raised, since Ray would try again.
    """
    job, group = config["job"], Group.of_this_worker()
    pen = Pen(config["board"], rank=group.rank)
    folder = Path(job.cache_folder or Path(tempfile.gettempdir()) / f"attn-images-{job.own_key}")
    caches, said = ready(job, folder, group, pen)
    refusal = None if said is None else UsageError(said)
    if refusal is None:
        cache, *mixed = caches
        cache = without_copies(job, cache, group, pen)
        keeper = RayTrainKeeper(FolderKeeper(config["states"], every_s=0), group)
        worker = _Worker(job, config["cnn"], cache, group, pen, keeper, *mixed)
        pen.pin(skipped=worker.all_skipped)
        refusal = worker.run()
    group.gather(None)  # no one reads the images any more
    if job.cache_folder is None and group.local_rank == 0:
        shutil.rmtree(folder, ignore_errors=True)
    return refusal


class _Worker:
    """One worker with its network and its share of the images."""

    def __init__(
        self,
        job: TrainJob,
        cnn: Cnn,
        cache: ImageCache,
        group: Group,
        pen: Pen,
        keeper: Keeper,
        mixed: ImageCache | None = None,
    ):
        self.job, self.group, self.pen, self.keeper = job, group, pen, keeper
        self.rows: list[dict[str, Any]] = []
        self.kept: dict[str, Tensor] = {}  # weights of the best epoch; none where those of now are
        self.kept_epoch = 0
        self.own_batch_size = own_batch_size(job.options)
        self.mixture = Mixture.of(job, mixed, group) if mixed else None
        self._choose(cache)
        self._build(cnn)

    def _choose(self, cache: ImageCache) -> None:
        """What is learnt from and what is held out."""
        pictures, device = self.job.pictures, self.group.device
        self.cache, self.skipped = cache, skipped_names(pictures, cache)
        good = np.array([row for row in range(len(cache.pixels)) if row not in cache.skipped])
        held = pictures.held_out(good)
        self.held = pictures.names(good[held])
        self.train = Photographs(cache.pixels, pictures.labels, good[~held], device)
        # Without pictures to validate on, some of those that are learnt from show whether the network is alive.
        watched = good[held] if held.any() else good[:: -(-len(good) // MOST_WATCHED)]
        self.watched = Photographs(cache.pixels, pictures.labels, watched, device)
        self.chance = self._chance(pictures.names(good[~held]))
        self.updates = num_batches(len(self.train), self.own_batch_size)

    @property
    def all_skipped(self) -> dict[str, str]:
        """Name → why, of the pictures that cannot be used."""
        return {**self.skipped, **(self.mixture.record["skipped"] if self.mixture else {})}

    def _chance(self, trained: Sequence[str]) -> Chance:
        """Accuracy and loss that guessing would reach on these pictures."""
        train, held = (np.bincount(some.labels).tolist() for some in (self.train, self.watched))
        if self.job.options.balanced:
            train = [1] * int(np.count_nonzero(train))
        counts = {"train_count": len(trained), "validation_count": len(self.held)}
        return Chance.of(train, held if self.held else [], **counts)

    def _build(self, cnn: Cnn) -> None:
        options, self.backbone = self.job.options, cnn.backbone.to(memory_format=torch.channels_last)
        torch.backends.cudnn.deterministic = True
        self.normalise = Normaliser(cnn.mean, cnn.std, self.group.device)
        # Frozen statistics are the same everywhere; others are the first worker's, sent around before every update.
        settings = {"broadcast_buffers": not self.job.freeze_batchnorm}
        self.average = StartAverage(self.backbone, self.job.start_share)
        self.model = ray.train.torch.prepare_model(self.backbone, parallel_strategy_kwargs=settings)
        parts = {"all": self.backbone, "classifier": self.backbone.classifier, "nothing": None}
        self.optimizer = make_optimizer(
            self.backbone,
            parts[self.job.fresh],
            lr=options.lr or LR,  # filled in by now
            fresh_lr=options.head_lr or DRAWN_LR,
            momentum=options.momentum,
            weight_decay=options.weight_decay,
        )

    def run(self) -> UsageError | None:
        """All epochs that are left; why it had to stop early. The states before are kept."""
        smallest = len(self.train) // self.updates
        if smallest < self.group.size:
            noun = self.job.pictures.noun
            return UsageError(
                f"{self.group.size} workers cannot share batches of {smallest} {noun}; give fewer --workers"
            )
        if self.job.pictures.validated and not self.held:
            return UsageError("no image is left for validation; every class has one image alone")
        try:
            self._resume()
            if not self.rows and self._start_counts:
                self._add(self._start())
            for epoch in range(self._done, self.job.epochs):
                self._add(self._epoch(epoch))
        except DivergedError as error:
            kept = f"epoch {self._done}" if self._done else ""
            return error.explained(flags="--lr and --head-lr", run_url=self.job.run_url, kept=kept)
        except UsageError as error:
            return error
        return None

    @property
    def _done(self) -> int:
        """Epochs of updates that are over."""
        return self.rows[-1]["epoch"] if self.rows else 0

    @property
    def _start_counts(self) -> bool:
        """Whether the state before the first update may be kept: it knows the classes, and there is a way to tell."""
        return self.job.options.recipe != PAPER and self.job.fresh == "nothing" and bool(self.held)

    def _add(self, row: dict[str, Any]) -> None:
        """Keeps and tells the state after an epoch; that of the start follows from the weights file."""
        self.rows = [*self.rows, row]
        self._judge()
        if row["epoch"]:
            self.keeper.keep(row["epoch"], row, self._save)
        self.pen.pin(rows=self.rows, note="")

    def _resume(self) -> None:
        files = self.keeper.restored()
        if files is not None:
            state, kept = load_state(files, self.backbone, self.optimizer)
            self._choose(as_begun(self.job.pictures, self.cache, state["skipped"], self.job.run_url))
            if self.mixture:
                self.mixture = self.mixture.as_begun(state["mixed"]["skipped"], self.job.run_url)
            self.rows, self.kept_epoch = state["epochs"], state["kept_epoch"]
            self.kept = kept if self._keeps_others else {}
        damaged = tuple(self.keeper.damaged)
        self.pen.pin(started_s=time.time(), resumed=len(self.rows), rows=self.rows, damaged=damaged)

    def _judge(self) -> None:
        """Keeps the weights of the newest epoch unless one before was better; the last ones without validation."""
        if best_row(self.rows) is self.rows[-1]:
            self.kept_epoch = self._done
            with self.average.applied():
                self.kept = plain_weights(self.backbone) if self._keeps_others and self.group.rank == 0 else {}

    @property
    def _keeps_others(self) -> bool:
        """Whether other weights than those of now may be kept."""
        return bool(self.held or self.average.share)

    def _save(self) -> Iterator[tuple[str, bytes]]:
        """The epoch's state."""
        images = {"trained": len(self.train), "validated": len(self.watched) if self.held else 0}
        state = {"epochs": self.rows, "images": images, "skipped": self.skipped, "validation": self.held}
        if self.mixture:
            state["mixed"] = self.mixture.record
        kept = self.kept if self.kept_epoch < self._done or self.average.share else {}
        return save_state(self.backbone, kept, self.optimizer, {**state, "kept_epoch": self.kept_epoch})

    def _start(self) -> dict[str, Any]:
        """The row of epoch 0."""
        started_s, validated = time.monotonic(), self._validate(-1)
        unknown = dict.fromkeys(("train_loss", "train_accuracy", "lr", "images_per_s"))
        return {
            "epoch": 0,
            **unknown,
            **({MIXED_LOSS: None} if self.mixture else {}),
            "validation_loss": validated.mean_loss,
            ACCURACY: validated.accuracy,
            **signs_of_life(validated),
            "seconds": time.monotonic() - started_s,
        }

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
            "validation_loss": validated.mean_loss if held else None,
            ACCURACY: validated.accuracy if held else None,
            **signs_of_life(validated),
            "lr": self.optimizer.param_groups[-1]["lr"],
            "images_per_s": (trained.images + mixed.images) / train_s,
            "seconds": time.monotonic() - started_s,
        }
        seen_on = "validation" if held else "training"
        return {**row, UNTRAINED: epoch_signs(row, self.chance, self.job.options, seen_on)}

    def _train(self, epoch: int) -> tuple[Tally, Tally]:
        """One pass over the training images; a tally of them, and the loss on what was mixed in."""
        options, seed = self.job.options, self.job.options.seed
        labels = self.train.labels if options.balanced else None
        # Dropout of this epoch, so that a run that was resumed here draws what an unbroken one would have drawn.
        torch.manual_seed(int(np.random.SeedSequence([seed, epoch, self.group.rank]).generate_state(1)[0]))
        train_mode(self.model, freeze_batchnorm=self.job.freeze_batchnorm)
        order = epoch_order(len(self.train), self.own_batch_size, seed=seed, epoch=epoch, labels=labels)
        batches = self.train.shares(order, worker=self.group.rank, workers=self.group.size)
        if self.mixture:
            batches = self.mixture.beside(batches, order, epoch)
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
            self.pen.note(f"epoch {epoch + 1}: update {number} of {self.updates}")
            if number % LOOK_EVERY == 0 or number == self.updates:
                sums = self.group.sum(torch.stack(unread))
                check_losses(sums[:, 0] + sums[:, 2], epoch, number - len(unread) + 1)
                more_loss, more_correct, more_mixed_loss = sums.sum(dim=0).tolist()
                loss, correct, mixed_loss = loss + more_loss, correct + more_correct, mixed_loss + more_mixed_loss
                unread = []
        mixed = float(sum(self.mixture.sizes(order))) if self.mixture else 0.0
        return Tally(loss, correct, float(len(self.train))), Tally(mixed_loss, 0.0, mixed)

    def _set_rates(self, update: int) -> None:
        """For the update of that number, counted from 0."""
        options, updates = self.job.options, self.job.epochs * self.updates
        set_rates(
            *(self.optimizer, update, updates),
            decay_after=options.lr_decay_after,
            decay=options.lr_decay,
            warmup=options.warmup,
        )

    def _validate(self, epoch: int) -> Validation:
        """The held-out images, or some others that are watched, shared by the workers."""
        size, group = self.job.options.batch_size, self.group
        share = self.watched.share(size, worker=group.rank, workers=group.size)
        with self.average.applied():
            mine = validate(self.backbone, self.normalise, share)
        found = Validation.together(group.gather(mine))
        check_losses(torch.tensor([found.loss]), epoch, self.updates)
        return found
