"""The pictures that a training worker learns from: prepared on its machine, and the same ones on all."""

import dataclasses
from pathlib import Path

import numpy as np
import torch

from attn.engine.training.board import Pen
from attn.engine.training.cnn_plan import TrainJob
from attn.engine.training.group import Group
from attn.engine.training.storage import check_storage
from attn.errors import UsageError
from attn.stages.images import check_skipped
from attn.stages.near_duplicates import near_duplicates
from attn.stages.pixels import ImageCache


def prepared(job: TrainJob, folder: Path, pen: Pen) -> tuple[ImageCache | None, str | None]:
    """The pictures of this machine, or why there are none."""

    def tell(done: int) -> None:
        pen.note(f"preparing {job.pictures.noun}: {done} of {len(job.pictures.labels)}")

    try:
        check_storage(job.run_url)
        return job.pictures.cached(folder, threads=torch.get_num_threads(), tell=tell), None
    except UsageError as error:
        return None, str(error)


def agreed(
    job: TrainJob, cache: ImageCache | None, refusal: str | None, group: Group
) -> tuple[ImageCache | None, str | None]:
    """Without the images that any machine could not read: all workers must hold the same ones."""
    said = group.gather((refusal, cache.skipped if cache else {}))
    refusal = next((text for text, _ in said if text), None)
    if cache is None or refusal is not None:
        return None, refusal
    skipped = {index: why for _, found in said for index, why in found.items()}
    cache = dataclasses.replace(cache, skipped=dict(sorted(skipped.items())))
    try:
        check_skipped(cache, job.pictures.labels, job.class_names)
    except UsageError as error:
        return None, str(error)
    return cache, None


def without_copies(job: TrainJob, cache: ImageCache, group: Group, pen: Pen) -> ImageCache:
    """Without near-duplicates, where they are to be left out; the first worker looks for them."""
    threshold = job.options.near_duplicates
    if threshold is None:
        return cache
    pen.note("looking for near-duplicates")
    found: dict[int, str] = {}
    if group.rank == 0:
        labels = job.pictures.labels.copy()
        unusable = np.array(list(cache.skipped), np.int64)
        labels[unusable] = -1 - unusable  # each a class of its own
        original = near_duplicates(cache.pixels, labels, threshold=threshold)
        for row in np.flatnonzero(original >= 0).tolist():
            copy, first = job.pictures.names(np.array([row, original[row]]))
            found[row] = f"{copy} repeats {first}"
    found = group.gather(found)[0]
    return dataclasses.replace(cache, skipped=dict(sorted({**cache.skipped, **found}.items())))


def skipped_names(job: TrainJob, cache: ImageCache) -> dict[str, str]:
    rows = np.array(list(cache.skipped), np.int64)
    return dict(zip(job.pictures.names(rows), cache.skipped.values(), strict=True))
