"""Training images of a worker: prepared on its machine, and the same on all machines."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from attn.errors import UsageError, some
from attn.training.cnn_job import TrainJob
from attn.training.group import Group
from attn.training.images import check_skipped
from attn.training.near_duplicates import near_duplicates
from attn.training.pictures import Pictures
from attn.training.pixels import ImageCache
from attn.training.status import StatusWriter
from attn.training.storage import check_storage


def ready(job: TrainJob, folder: Path, group: Group, status: StatusWriter) -> tuple[list[ImageCache], str | None]:
    """Return the caches of the images and of mixed-in Web images, the same on all machines; or an error message."""
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
    """Return the pixel cache of this machine, or an error message."""

    def report(done: int) -> None:
        status.note(f"preparing {job.pictures.noun}: {done} of {len(job.pictures.labels)}")

    try:
        check_storage(job.run_url)
        return job.pictures.cached(folder, threads=torch.get_num_threads(), tell=report), None
    except UsageError as error:
        return None, str(error)


def agreed(
    job: TrainJob, cache: ImageCache | None, refusal: str | None, group: Group
) -> tuple[ImageCache | None, str | None]:
    """Return the cache without the images that any machine could not read; all workers must use the same images."""
    answers = group.gather((refusal, cache.skipped if cache else {}))
    refusal = next((text for text, _ in answers if text), None)
    if cache is None or refusal is not None:
        return None, refusal
    skipped = {index: why for _, found in answers for index, why in found.items()}
    cache = dataclasses.replace(cache, skipped=dict(sorted(skipped.items())))
    try:
        check_skipped(cache, job.pictures.labels, job.class_names)
    except UsageError as error:
        return None, str(error)
    return cache, None


def without_copies(job: TrainJob, cache: ImageCache, group: Group, status: StatusWriter) -> ImageCache:
    """Return the cache without near-duplicates if `--near-duplicates` is given; the first worker searches for them."""
    threshold = job.options.near_duplicates
    if threshold is None:
        return cache
    status.note("searching for near-duplicates")
    found: dict[int, str] = {}
    if group.rank == 0:
        labels = job.pictures.labels.copy()
        unusable = np.array(list(cache.skipped), np.int64)
        labels[unusable] = -1 - unusable  # each in its own class
        original = near_duplicates(cache.pixels, labels, threshold=threshold)
        for row in np.flatnonzero(original >= 0).tolist():
            copy, first = job.pictures.names(np.array([row, original[row]]))
            found[row] = f"{copy} is a near-duplicate of {first}"
    found = group.gather(found)[0]
    return dataclasses.replace(cache, skipped=dict(sorted({**cache.skipped, **found}.items())))


def skipped_names(pictures: Pictures, cache: ImageCache) -> dict[str, str]:
    """Return the skipped images: name → reason."""
    rows = np.array(list(cache.skipped), np.int64)
    return dict(zip(pictures.names(rows), cache.skipped.values(), strict=True))


def as_begun(pictures: Pictures, cache: ImageCache, before: Mapping[str, str], run_url: str) -> ImageCache:
    """Return the cache with exactly the images that the training started with.

    With other images, order and updates would change, and a training image might become a held-out one.

    Args:
        pictures: images of the cache.
        cache: pixel cache, with the images that are unusable now.
        before: images that were skipped when the training started: name → reason.
        run_url: URL of the run folder, for the error message.

    Raises:
        UsageError: an image that was used before is unusable now.
    """
    skipped = skipped_names(pictures, cache)
    if fewer := sorted(skipped.keys() - before.keys()):
        raise UsageError(
            f"{some(fewer)}: used by this training before, but unusable now ({skipped[fewer[0]]}). Repair the files, "
            f"or remove {run_url}."
        )
    if not before.keys() > skipped.keys():
        return cache
    names = pictures.names(np.arange(len(cache.pixels)))
    return dataclasses.replace(cache, skipped={row: before[name] for row, name in enumerate(names) if name in before})
