"""The pictures that a training worker learns from: prepared on its machine, and the same ones on all."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from attn.engine.training.cnn_job import TrainJob
from attn.engine.training.group import Group
from attn.engine.training.status import StatusWriter
from attn.engine.training.storage import check_storage
from attn.errors import UsageError, some
from attn.stages.images import check_skipped
from attn.stages.near_duplicates import near_duplicates
from attn.stages.pictures import Pictures
from attn.stages.pixels import ImageCache


def ready(job: TrainJob, folder: Path, group: Group, status: StatusWriter) -> tuple[list[ImageCache], str | None]:
    """The pictures and the Web images that are mixed in, if any, the same on all machines; or why not."""
    caches = []
    for pictures in (job.pictures, job.mixed):
        if pictures is not None:
            one = dataclasses.replace(job, pictures=pictures)
            where = Path(job.mixed_folder) if pictures is job.mixed and job.mixed_folder else folder
            cache, refusal = agreed(one, *prepared(one, where, status), group)
            if cache is None:
                return [], refusal
            caches.append(cache)
    return caches, None


def prepared(job: TrainJob, folder: Path, status: StatusWriter) -> tuple[ImageCache | None, str | None]:
    """The pictures of this machine, or why there are none."""

    def tell(done: int) -> None:
        status.note(f"preparing {job.pictures.noun}: {done} of {len(job.pictures.labels)}")

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


def without_copies(job: TrainJob, cache: ImageCache, group: Group, status: StatusWriter) -> ImageCache:
    """Without near-duplicates, where they are to be left out; the first worker looks for them."""
    threshold = job.options.near_duplicates
    if threshold is None:
        return cache
    status.note("looking for near-duplicates")
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


def skipped_names(pictures: Pictures, cache: ImageCache) -> dict[str, str]:
    rows = np.array(list(cache.skipped), np.int64)
    return dict(zip(pictures.names(rows), cache.skipped.values(), strict=True))


def as_begun(pictures: Pictures, cache: ImageCache, before: Mapping[str, str], run_url: str) -> ImageCache:
    """Without the images that were left out when the training began, readable now or not, and no others.

    Others would be another order and other updates, and what was learnt from might be held out.

    Args:
        pictures: those of the cache.
        cache: with what cannot be used now.
        before: name → why, of what was left out then.
        run_url: folder of the training, for the message.

    Raises:
        UsageError: an image that was learnt from cannot be used any more.
    """
    skipped = skipped_names(pictures, cache)
    if fewer := sorted(skipped.keys() - before.keys()):
        raise UsageError(
            f"{some(fewer)}: learnt from before, and not now ({skipped[fewer[0]]}); mend or remove {run_url}"
        )
    if not before.keys() > skipped.keys():
        return cache
    names = pictures.names(np.arange(len(cache.pixels)))
    return dataclasses.replace(cache, skipped={row: before[name] for row, name in enumerate(names) if name in before})
