"""Retries of storage operations after errors that may pass within seconds.

Storage clients retry on their own, but only errors that they know to be temporary. They do not restart an operation of
several requests, such as a multipart upload whose record the storage has lost, or a read of a file that another run
replaces.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from attn.storage.error_messages import is_lasting, reason, shown

Found = TypeVar("Found")

log = logging.getLogger(__name__)

PAUSES_S = (1.0, 3.0, 9.0)


def retried(attempt: Callable[[], Found], url: str) -> Found:
    """Call `attempt` until it succeeds, with a retry after each pause of `PAUSES_S`, and return its result.

    The price: the error of a lasting outage is raised some seconds later. Lasting errors (see `is_lasting`), and errors
    that do not come from a storage, are raised at once.

    Args:
        attempt: function that can be called again wherever the previous call failed.
        url: URL that is read or written, for the log.
    """
    for pause_s in PAUSES_S:
        try:
            return attempt()
        except Exception as error:
            why = reason(error)
            if why is None or is_lasting(error):
                raise
            log.warning("%s: %s. Retrying in %.0f s.", shown(url), why, pause_s)
        time.sleep(pause_s)
    return attempt()
