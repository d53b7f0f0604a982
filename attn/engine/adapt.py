"""adapt_cnn: a CNN whose BatchNorm statistics are those of frames of the target videos.

Decoding is spread over the machines; the forward passes run in this one process, over frames in an order that only
their names and the seed decide. So any number of machines gives the same statistics.
"""

import dataclasses
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from attn.engine.adapt_options import AdaptOptions
from attn.engine.adapt_plan import AdaptPlan, device, least_frames, make_plan
from attn.engine.allowance import allowed_failures, told_failures
from attn.engine.cli import EXIT_FAILED_VIDEOS, EXIT_INTERRUPTED
from attn.engine.frame_samples import sample_frames
from attn.models.adapt import Moved, adapt
from attn.models.checkpoint import save_checkpoint
from attn.models.finetune import Normaliser
from attn.storage.failures import Failure

log = logging.getLogger(__name__)

NAMED = 10


def adapt_cnn(options: AdaptOptions) -> int:
    """Writes the adapted checkpoint at `--out`; the exit code.

    Raises:
        UsageError: before anything was written; some of it shows only in the frames.
    """
    plan = make_plan(options)
    if plan.record is not None:
        log.info("%s is finished already: %s", options.out, _told(plan.record))
        return 0
    sampled = f"{len(plan.videos)} videos, up to {min(options.frames, len(plan.videos) * plan.per_video)} frames"
    if options.dry_run:
        each = f"{plan.per_video} of each, {plan.frame_bytes / 1e6:.0f} MB of memory"
        log.info("dry run: %s of %d pixels (%s)", sampled, plan.stage.size, each)
        return 0
    log.info("%s: %s", options.videos, sampled)
    try:
        return _adapt(plan)
    except KeyboardInterrupt:
        log.warning("interrupted; nothing was written, the same command begins again")
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
    moved = adapt(
        cnn.backbone.to(where),
        bank.pixels,
        rows,
        normalise,
        batch_size=options.batch_size,
        least_frames=least_frames(options),
    )
    record = _record(plan, bank.names(rows[: moved.frames]), moved, failed)
    trained = {**cnn.trained, "adapted": record}
    save_checkpoint(
        options.out, dataclasses.replace(cnn, trained=trained), without_head=cnn.new_classifier or options.features_only
    )
    seconds = (decoded_s - started_s, time.monotonic() - decoded_s)
    log.info("%s; decoded in %.0f s, adapted on %s in %.0f s", _told(record), seconds[0], where.type, seconds[1])
    log.info("%s: %s", moved, options.out)
    return 0


def _too_many(failed: Mapping[str, Failure], plan: AdaptPlan) -> bool:
    """Names the videos that failed; whether they are more than may."""
    for video_id in sorted(failed)[:NAMED]:
        log.warning("failed: %s: %s", video_id, failed[video_id].message)
    if len(failed) > NAMED:
        log.warning("failed: %d more", len(failed) - NAMED)
    videos, fraction = len(plan.videos), plan.options.max_failed_fraction
    too_many = len(failed) > allowed_failures(fraction, videos)
    if too_many:
        told = told_failures(len(failed), videos, fraction)
        log.error("%s; nothing was written. Replace or remove them, or raise --max-failed-fraction.", told)
    return too_many


def _record(
    plan: AdaptPlan, used: list[tuple[str, int]], moved: Moved, failed: Mapping[str, Failure]
) -> dict[str, Any]:
    """Record of the adaptation in the checkpoint. An earlier one leaves no trace in the statistics, nor here."""
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
        "shift": moved.shift,
        "factor": moved.factor,
        "settings": plan.settings,
    }


def _told(record: Mapping[str, Any]) -> str:
    return f"{record['frames']} frames of {record['videos']} videos"
