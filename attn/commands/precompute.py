"""Precompute: attention maps of every class for every sampled frame, each exactly once."""

import contextlib
import itertools
import logging

from attn.commands.estimate import estimate
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.precompute_plan import Plan, make_plan
from attn.engine.exit_codes import EXIT_INTERRUPTED
from attn.engine.filling import Chain, StorePlan, fill_locked
from attn.engine.in_process import PLACEMENT, computed_in_process, runs_in_process
from attn.engine.placement import Placement, cluster_totals, living_nodes, place
from attn.engine.session import start_ray, this_machine, works_alone
from attn.errors import UsageError
from attn.schema import LOGITS, MAPS, row_bytes
from attn.stages.attention import ComputeMaps
from attn.stages.one_answer import OneAnswer
from attn.storage.store import AttentionStore

log = logging.getLogger(__name__)

MOST_WATCHED = 100
"""Maximum number of stored videos read to check that the CNN distinguishes classes."""


def precompute(options: PrecomputeOptions) -> int:
    """Fill the store at `--out` and return the exit code.

    Raises:
        UsageError: flags or inputs are invalid; nothing was written.
    """
    if options.clip is not None:
        from attn.commands.precompute_clips import precompute_clips  # imported here: maps do not need it

        return precompute_clips(options)
    plan = make_plan(options)
    placement = placement_of(plan, options)
    log.info(
        "%s: %d videos, %d classes", options.videos or options.flow, len(plan.videos), len(plan.manifest.class_names)
    )
    if options.dry_run:
        log.info("%s", estimate(plan, placement, overwrite=options.overwrite))
        return 0
    return fill(plan, placement)


def placement_of(plan: StorePlan, options: PrecomputeOptions) -> Placement:
    """Choose where the work runs; start or join Ray unless it is not needed."""
    actors, gpus = options.actors, options.gpus_per_actor
    bytes_per_row = row_bytes(plan.manifest.schema)
    if actors is None and gpus is None and runs_in_process(plan.videos):
        return PLACEMENT
    if options.dry_run and works_alone():
        return place(actors, gpus, this_machine(), [this_machine()], row_bytes=bytes_per_row)
    start_ray()
    return place(actors, gpus, cluster_totals(), living_nodes(), row_bytes=bytes_per_row)


def fill(plan: Plan, placement: Placement) -> int:
    """Fill the store of a plan, on the running Ray or in this process, and return the exit code."""
    options = plan.options
    code = fill_locked(plan, placement, _chain(plan, placement), overwrite=options.overwrite)
    if code != EXIT_INTERRUPTED:
        warn_of_one_answer(options.out)
    return code


def _chain(plan: Plan, placement: Placement) -> Chain:
    schema = plan.manifest.schema
    if placement is PLACEMENT:
        return computed_in_process(ComputeMaps, plan.cnn, plan.compute_settings, schema)
    from attn.engine.dataflow import pool_chain  # imported here because Ray Data takes seconds to load

    settings = {**plan.compute_settings, "device": placement.device}
    return pool_chain(ComputeMaps, plan.cnn, settings, schema, placement)


def warn_of_one_answer(url: str) -> None:
    """Warn if the CNN has learnt nothing. For most stores, the first video rules that out."""
    with contextlib.suppress(UsageError, OSError):  # the store is finished even if it cannot be read now
        store, seen = AttentionStore.open(url, allow_partial=True), OneAnswer()
        columns = [name for name in (LOGITS, MAPS) if name in store.manifest.columns]
        for rows in itertools.islice(store.videos(columns), MOST_WATCHED if columns else 0):
            seen.see(rows, () if rows.label is None else (rows.label,))
            if seen.refuted:
                return
        for warning in seen.warnings(store.manifest.class_names):
            log.warning("%s", warning)
