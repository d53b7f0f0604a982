"""adapt_cnn: adapt the BatchNorm statistics or the channel spread of a CNN to frames of the target videos.

Decoding is distributed over the machines. The forward passes run in this process, in a frame order that depends only on
names and seed, so the statistics do not depend on the number of machines.
"""

import contextlib
import dataclasses
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from attn.commands.adapt_options import AdaptOptions
from attn.commands.adapt_plan import AdaptPlan, device, least_frames, make_plan
from attn.datasets.image_file import ImageError, read_image
from attn.engine.allowance import allowed_failures, told_failures
from attn.engine.exit_codes import EXIT_FAILED_VIDEOS, EXIT_INTERRUPTED
from attn.engine.frame_samples import sample_frames
from attn.errors import UsageError
from attn.models.adapt import Moved, adapt, check_enough, check_spread
from attn.models.checkpoint import save_checkpoint
from attn.models.finetune import Normaliser
from attn.stages.align import Aligned, reader, rescale, spread
from attn.storage.error_messages import shown
from attn.storage.failures import Failure
from attn.video.transform import resize_and_crop

log = logging.getLogger(__name__)

NAMED = 10


def adapt_cnn(options: AdaptOptions) -> int:
    """Write the adapted checkpoint to `--out` and return the exit code.

    Raises:
        UsageError: flags, files, CNN or frames are invalid; nothing was written.
    """
    plan = make_plan(options)
    if plan.record is not None:
        log.info("%s: already finished (%s)", options.out, _summary(plan.record))
        return 0
    sampled = f"{len(plan.videos)} videos, up to {min(options.frames, len(plan.videos) * plan.per_video)} frames"
    if options.dry_run:
        each = f"up to {plan.per_video} per video, {plan.frame_bytes / 1e6:.0f} MB of memory"
        log.info("dry run: %s of %d pixels (%s)", sampled, plan.stage.size, each)
        return 0
    log.info("%s: %s", options.videos, sampled)
    try:
        return _adapt(plan)
    except KeyboardInterrupt:
        log.warning("interrupted; nothing was written. Run the same command to start again.")
        return EXIT_INTERRUPTED


def _adapt(plan: AdaptPlan) -> int:
    started_s = time.monotonic()
    bank, failed = sample_frames(plan.videos, plan.stage, plan.per_video)
    if _too_many(failed, plan):
        return EXIT_FAILED_VIDEOS
    decoded_s = time.monotonic()
    cnn, where, options = plan.cnn, device(), plan.options
    normalise = Normaliser(cnn.mean, cnn.std, where)
    rows = bank.order(options.seed, options.frames)
    cnn.backbone.to(where)
    if plan.images:
        moved = _align(plan, bank.pixels, rows, normalise, where)
    else:
        moved = adapt(
            cnn.backbone,
            bank.pixels,
            rows,
            normalise,
            batch_size=options.batch_size,
            least_frames=least_frames(options),
            of=shown(options.videos),
        )
    record = _record(plan, bank.names(rows[: moved.frames]), moved, failed)
    trained = {**cnn.trained, "adapted": record}
    save_checkpoint(
        options.out, dataclasses.replace(cnn, trained=trained), without_head=cnn.new_classifier or options.features_only
    )
    seconds = (decoded_s - started_s, time.monotonic() - decoded_s)
    log.info("%s; decoded in %.0f s, adapted on %s in %.0f s", _summary(record), seconds[0], where.type, seconds[1])
    log.info("%s: %s", moved, options.out)
    return 0


def _align(
    plan: AdaptPlan, pixels: np.ndarray, rows: np.ndarray, normalise: Normaliser, where: torch.device
) -> Aligned:
    """Rescale the channels of the map layer to their spread on Web images; see `attn.stages.align`."""
    options, backbone = plan.options, plan.cnn.backbone
    check_enough(len(rows), least_frames(options), of=shown(options.videos))
    check_spread(pixels[rows[: options.batch_size]], of=shown(options.videos))
    size, cuts = options.batch_size, range(0, len(rows), options.batch_size)
    frames = (torch.from_numpy(pixels[rows[start : start + size]]) for start in cuts)
    wanted, images = spread(backbone, (normalise(batch.to(where)) for batch in _web_images(plan)))
    found, count = spread(backbone, (normalise(batch.to(where)) for batch in frames))
    factor = rescale(reader(backbone, options.weights), wanted, found)
    return Aligned(images, count, len(found), factor)


def _web_images(plan: AdaptPlan) -> Iterator[torch.Tensor]:
    """Yield batches of Web images; unreadable images are skipped."""
    size, cnn = plan.options.batch_size, plan.cnn

    def prepared(path: str) -> np.ndarray | None:
        with contextlib.suppress(ImageError, UsageError):
            return resize_and_crop(read_image(path), cnn.input_size, cnn.resampling)
        return None

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(plan.images), size):
            batch = [image for image in pool.map(prepared, plan.images[start : start + size]) if image is not None]
            if batch:
                yield torch.from_numpy(np.stack(batch))


def _too_many(failed: Mapping[str, Failure], plan: AdaptPlan) -> bool:
    """Log the failed videos and return whether they exceed `--max-failed-fraction`."""
    for video_id in sorted(failed)[:NAMED]:
        log.warning("failed: %s: %s", video_id, failed[video_id].message)
    if len(failed) > NAMED:
        log.warning("%d more videos failed", len(failed) - NAMED)
    videos, fraction = len(plan.videos), plan.options.max_failed_fraction
    too_many = len(failed) > allowed_failures(fraction, videos)
    if too_many:
        summary = told_failures(len(failed), videos, fraction)
        log.error("%s; nothing was written. Replace or remove them, or raise --max-failed-fraction.", summary)
    return too_many


def _record(
    plan: AdaptPlan, used: list[tuple[str, int]], moved: Moved | Aligned, failed: Mapping[str, Failure]
) -> dict[str, Any]:
    """Record of the adaptation for the checkpoint. An earlier adaptation affects neither statistics nor record."""
    counts = Counter(video_id for video_id, _ in used)
    listing = "".join(f"{video_id} {counts[video_id]}\n" for video_id in sorted(counts))
    return {
        "videos": len(counts),
        "frames": moved.frames,
        "sha256": hashlib.sha256(listing.encode()).hexdigest(),
        "from": plan.cnn.weights_sha256,
        "lists": list(plan.options.lists),
        "seed": plan.options.seed,
        "failed": sorted(failed),
        **({"shift": moved.shift} if isinstance(moved, Moved) else {"images": moved.images}),
        "factor": moved.factor,
        "settings": plan.settings,
    }


def _summary(record: Mapping[str, Any]) -> str:
    return f"{record['frames']} frames of {record['videos']} videos"
