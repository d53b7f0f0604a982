"""Precompute: attention maps of every class for every sampled frame, each exactly once."""

import logging

from attn.commands.fill_store import fill_and_check, placement_of, report_estimate
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.precompute_plan import Plan, make_plan
from attn.engine.filling import Chain
from attn.engine.in_process import PLACEMENT, computed_in_process
from attn.engine.placement import Placement
from attn.stages.attention import ComputeMaps

log = logging.getLogger(__name__)


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
        return report_estimate(plan, placement, options)
    return fill(plan, placement)


def fill(plan: Plan, placement: Placement) -> int:
    """Fill the store of a plan, on the running Ray or in this process, and return the exit code."""
    return fill_and_check(plan, placement, _chain(plan, placement), plan.options)


def _chain(plan: Plan, placement: Placement) -> Chain:
    schema = plan.manifest.schema
    if placement is PLACEMENT:
        return computed_in_process(ComputeMaps, plan.cnn, plan.compute_settings, schema)
    from attn.engine.dataflow import pool_chain  # imported here because Ray Data takes seconds to load

    settings = {**plan.compute_settings, "device": placement.device}
    return pool_chain(ComputeMaps, plan.cnn, settings, schema, placement)
