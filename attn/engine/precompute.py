"""Precompute: the attention maps of every class of every sampled frame, each exactly once."""

import functools
import logging

import ray

from attn.engine.cli import EXIT_INTERRUPTED
from attn.engine.estimate import estimate
from attn.engine.filling import fill_store
from attn.engine.options import PrecomputeOptions
from attn.engine.placement import cluster_totals, living_nodes, place
from attn.engine.plan import make_plan
from attn.engine.session import start_ray, this_machine, works_alone

log = logging.getLogger(__name__)


def precompute(options: PrecomputeOptions) -> int:
    """Fills the store at `--out`; the exit code.

    Raises:
        UsageError: before anything was written.
    """
    plan = make_plan(options)
    if options.dry_run and works_alone():
        totals = this_machine()
        nodes = [totals]
    else:
        start_ray()
        totals, nodes = cluster_totals(), living_nodes()
    placement = place(options.actors, options.gpus_per_actor, totals, nodes)
    log.info("%s: %d videos, %d classes", options.videos, len(plan.videos), len(plan.manifest.class_names))
    if options.dry_run:
        log.info("%s", estimate(plan, placement))
        return 0
    from attn.engine.dataflow import maps_done  # here, since Ray Data takes seconds to load

    with plan.ledger.occupied():
        if options.overwrite:
            plan.ledger.clear()
        plan.ledger.begin(plan.manifest)
        settings = {**plan.compute_settings, "device": placement.device}
        chain = functools.partial(
            maps_done, cnn=ray.put(plan.cnn), settings=settings, schema=plan.manifest.schema, placement=placement
        )
        try:
            return fill_store(plan, placement, chain)
        except KeyboardInterrupt:
            log.warning("interrupted; %s", plan.go_on)
            return EXIT_INTERRUPTED
