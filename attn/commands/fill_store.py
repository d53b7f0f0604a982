"""Start of a job that fills a store: placement, estimate, and the check of a CNN's answers."""

import contextlib
import itertools
import logging

from attn.commands.estimate import estimate
from attn.commands.precompute_options import FillOptions
from attn.engine.exit_codes import EXIT_INTERRUPTED
from attn.engine.filling import Chain, StorePlan, fill_locked
from attn.engine.in_process import PLACEMENT, runs_in_process
from attn.engine.placement import Placement, cluster_totals, living_nodes, place, place_decoding
from attn.engine.session import start_ray, this_machine, works_alone
from attn.errors import UsageError
from attn.schema import LOGITS, MAPS, row_bytes
from attn.stages.one_answer import OneAnswer
from attn.storage.store import AttentionStore

log = logging.getLogger(__name__)

MOST_WATCHED = 100
"""Maximum number of stored videos read to check that the CNN distinguishes classes."""


def placement_of(plan: StorePlan, options: FillOptions, *, in_decode_tasks: bool = False) -> Placement:
    """Choose where the work runs; start or join Ray unless it is not needed.

    Args:
        plan: plan of the store.
        options: options of the job.
        in_decode_tasks: whether decode tasks compute the rows, so that no actors are needed.
    """
    actors, gpus = options.actors, options.gpus_per_actor
    if actors is None and gpus is None and runs_in_process(plan.videos):
        return PLACEMENT
    if options.dry_run and works_alone():
        totals, nodes = this_machine(), [this_machine()]
    else:
        start_ray()
        totals, nodes = cluster_totals(), living_nodes()
    if in_decode_tasks:
        return place_decoding(totals, nodes)
    return place(actors, gpus, totals, nodes, row_bytes=row_bytes(plan.manifest.schema))


def report_estimate(plan: StorePlan, placement: Placement, options: FillOptions) -> int:
    """Log the size of the run, for `--dry-run`, and return the exit code."""
    log.info("%s", estimate(plan, placement, overwrite=options.overwrite))
    return 0


def fill_and_check(plan: StorePlan, placement: Placement, chain: Chain, options: FillOptions) -> int:
    """Fill a store with the answers of a CNN, warn if it has learnt nothing, and return the exit code."""
    code = fill_locked(plan, placement, chain, overwrite=options.overwrite)
    if code != EXIT_INTERRUPTED:
        warn_of_one_answer(options.out)
    return code


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
