"""Predict: classify the videos of a folder with one model, without lists, labels or class folders.

A few videos are decoded and scored in this process with the stages that precompute runs on Ray, because starting Ray
would take as long. More videos are precomputed into an attention store and scored from there.
"""

import dataclasses
import functools
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from attn.commands.precompute_clips import ClipPlan, fill_clips
from attn.commands.predict_options import PredictOptions
from attn.commands.predict_overlays import Overlays
from attn.commands.predict_plan import AnyPlan, make_prediction_plan
from attn.commands.predictions import Prediction, csv_table, json_line, parquet_table, text_line
from attn.engine.allowance import allowed_failures, told_failures
from attn.engine.exit_codes import EXIT_FAILED_VIDEOS, EXIT_INTERRUPTED
from attn.engine.in_process import needs_no_ray
from attn.schema import FRAME, IMAGE, TIME_S, TRUNCATED, VIDEO_ID, row_bytes
from attn.stages.decode_videos import Columns
from attn.stages.finite import check_finite as check_stored
from attn.stages.frame_sample import by_video
from attn.stages.one_answer import OneAnswer
from attn.stages.rows import Tensors, check_finite
from attn.stages.scoring import Scorer
from attn.storage.error_messages import shown
from attn.storage.failures import Failure, read_failures
from attn.storage.filesystem import join, storage_errors
from attn.storage.location import Location
from attn.storage.store import AttentionStore, VideoRows
from attn.storage.writer import LAST, POSITION
from attn.video.sandbox.guard import FrameReader

log = logging.getLogger(__name__)

TRIES = 3
EXIT_ERROR = 1
CSV, PARQUET = "predictions.csv", "predictions.parquet"


def predict(options: PredictOptions) -> int:
    """Print a line per video, write both tables and the overlays, and return the exit code.

    Raises:
        UsageError: flags or inputs are invalid; no work was done.
    """
    plan, scorer, names = make_prediction_plan(options)
    clips = plan.manifest if isinstance(plan, ClipPlan) else None
    with Overlays(options, plan.videos, names, plan.resampling, scorer, clips) as overlays:
        columns = tuple(dict.fromkeys((*scorer.columns, *overlays.columns)))
        log.info("%s: %d videos, %d classes", options.videos, len(plan.videos), len(names))
        if not needs_no_ray(plan.videos):
            if code := _fill_store(plan):
                return code
            return _finish(options, plan, scorer, names, stored_rows(plan, columns), overlays)
        try:
            return _finish(options, plan, scorer, names, computed_rows(plan, columns), overlays)
        except (FloatingPointError, torch.OutOfMemoryError) as error:
            log.error("%s; no tables were written", " ".join(str(error).split()))
            return EXIT_ERROR
        except KeyboardInterrupt:
            log.warning("interrupted; no tables were written. Run the same command to start again.")
            return EXIT_INTERRUPTED


def computed_rows(plan: AnyPlan, columns: Sequence[str]) -> Iterator[VideoRows | Failure]:
    """Compute the rows of each video in this process, with one video in memory at a time.

    Errors that may be transient are tried three times, such as a decoder that was killed or a storage timeout.

    Raises:
        FloatingPointError: the CNN returns non-finite numbers.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    compute, seen = plan.computation(columns, device), OneAnswer()
    left = {video.video_id: video for video in plan.videos}
    with FrameReader() as reader:
        for attempt in range(1, TRIES + 1):
            stage = dataclasses.replace(plan.stage, attempt=attempt, last_try=attempt == TRIES)
            for item in rows_of(stage(list(left.values()), reader), compute):
                del left[item.video_id]
                if isinstance(item, VideoRows):
                    seen.see(item)
                yield item
            if not left:
                break
            log.warning("%d videos were not finished; retrying them", len(left))
    for warning in seen.warnings(plan.manifest.class_names):
        log.warning("%s", warning)


def rows_of(items: Iterable[Columns | Failure], compute: Tensors) -> Iterator[VideoRows | Failure]:
    """Yield the rows of one video after the other, or only the failure if decoding a video fails."""
    held: list[Columns] = []
    for item in items:
        if isinstance(item, Failure):
            yield item
            continue
        tensors = compute(item.pop(IMAGE))
        for name, values in tensors.items():
            check_finite(values, name, item)
        for part in by_video({**item, **tensors}):
            if part[POSITION][0] == 0:  # the previous video failed or is complete
                held = []
            held.append(part)
            if part[LAST][-1]:
                yield _joined(held, list(tensors))
                held = []


def _joined(parts: list[Columns], names: list[str]) -> VideoRows:
    """Concatenate the parts of one video."""
    columns = {name: np.concatenate([part[name] for part in parts]) for name in (FRAME, TIME_S, *names)}
    frame, time_s = columns.pop(FRAME), columns.pop(TIME_S)
    return VideoRows(parts[0][VIDEO_ID][0], None, bool(parts[-1][TRUNCATED][-1]), frame, time_s, columns)


def _fill_store(plan: AnyPlan) -> int:
    """Precompute the videos and return the exit code."""
    from attn.commands.precompute import fill
    from attn.engine.placement import cluster_totals, living_nodes, place  # imported here: few videos need no Ray
    from attn.engine.session import start_ray

    start_ray()
    bytes_per_row = row_bytes(plan.manifest.schema)
    placement = place(None, None, cluster_totals(), living_nodes(), row_bytes=bytes_per_row)
    return fill_clips(plan, placement) if isinstance(plan, ClipPlan) else fill(plan, placement)


def stored_rows(plan: AnyPlan, columns: Sequence[str]) -> Iterator[VideoRows | Failure]:
    """Read the rows of each video from the store of a plan, or its failure if it is not there."""
    store = AttentionStore.open(plan.options.out)
    left = {video.video_id: video for video in plan.videos}
    for rows in store.videos(columns):
        if left.pop(rows.video_id, None) is not None:
            for name, values in rows.tensors.items():
                check_stored(store.url, rows.video_id, rows.frame, name, values)
            yield rows
    with storage_errors(store.url):
        failures = read_failures(plan.ledger.folder)
    for one in left.values():
        unknown = Failure(
            one.video_id, one.url, "decode", "Unknown", "reason not recorded; run the same command again", 0
        )
        yield failures.get(one.video_id, unknown)


def _finish(
    options: PredictOptions,
    plan: AnyPlan,
    scorer: Scorer,
    names: tuple[str, ...],
    found: Iterable[VideoRows | Failure],
    overlays: Overlays,
) -> int:
    """Print and draw each prediction as soon as it is available, then write the tables."""
    urls = {video.video_id: shown(video.url) for video in plan.videos}
    format_line = json_line if options.json else functools.partial(text_line, width=max(map(len, urls)))
    predictions: list[Prediction] = []
    for item in found:
        url = urls[item.video_id]
        if isinstance(item, Failure):
            one = Prediction(item.video_id, url, error=item.message)
        else:
            one = Prediction(item.video_id, url, len(item.frame), np.asarray(scorer(item), np.float64))
        _print(format_line(one, names))
        predictions.append(one)
        if isinstance(item, VideoRows) and one.scores is not None:
            overlays.draw(item, one.scores)
    predictions.sort(key=lambda one: one.video_id)
    _write(options, plan, scorer, names, predictions)
    log.info(
        "wrote %s and %s. Scores: %s; they are not probabilities.", join(options.out, CSV), PARQUET, scorer.definition
    )
    overlays.tell()
    return EXIT_ERROR if overlays.failed else _verdict(options, predictions)


def _print(line: str) -> None:
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe, such as `| head`; the tables must still be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(
    options: PredictOptions, plan: AnyPlan, scorer: Scorer, names: tuple[str, ...], predictions: list[Prediction]
) -> None:
    metadata = {
        "class_names": json.dumps(names, ensure_ascii=False),
        "fingerprint": plan.manifest.fingerprint,
        "method": scorer.name,
        "definition": scorer.definition,
        "options": json.dumps(dataclasses.asdict(options), ensure_ascii=False),
    }
    tables = {PARQUET: parquet_table(predictions, names, metadata), CSV: csv_table(predictions, names)}
    for name, data in tables.items():
        (Location.at(options.out) / name).write_atomic(data)


def _verdict(options: PredictOptions, predictions: list[Prediction]) -> int:
    """Return exit code 3 if too many videos failed, otherwise 0."""
    failed, fraction = sum(one.scores is None for one in predictions), options.max_failed_fraction
    if failed <= allowed_failures(fraction, len(predictions)):
        return 0
    summary = told_failures(failed, len(predictions), fraction)
    log.error("%s; the others are written. Replace or remove them, or raise --max-failed-fraction.", summary)
    return EXIT_FAILED_VIDEOS
