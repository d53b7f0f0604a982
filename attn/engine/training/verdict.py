"""How a training ends that has learnt nothing: its artefact and its report are written, and its exit code is 4."""

import logging
from collections.abc import Mapping
from typing import Any

from attn.engine.cli import EXIT_UNTRAINED
from attn.stages.untrained import UNTRAINED

log = logging.getLogger(__name__)


def exit_code(report: Mapping[str, Any], *, allow_untrained: bool) -> int:
    """Exit code of a training that is over, now or long ago; tells why if it has learnt nothing.

    Args:
        report: of the training; `untrained` lists the reasons, and older reports have none.
        allow_untrained: `--allow-untrained`.
    """
    reasons = report.get(UNTRAINED) or []
    for reason in reasons:
        log.warning("untrained: %s", reason)
    return EXIT_UNTRAINED if reasons and not allow_untrained else 0
