"""What a distant storage refuses now it may take in a few seconds: it is asked again before a run ends over it.

The clients try again by themselves, but only what they know to be passing. What takes several requests (an upload in
pieces whose record the storage has dropped, a file that another run replaces while it is read) they do not begin anew.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from attn.storage.reasons import is_lasting, reason, shown

Found = TypeVar("Found")

log = logging.getLogger(__name__)

PAUSES_S = (1.0, 3.0, 9.0)


def try_again(attempt: Callable[[], Found], url: str) -> Found:
    """Calls `attempt` until it raises nothing, at most once more than there are pauses; what it gives.

    The price of an outage that lasts: its error comes some seconds later. What is lasting, and what is no error of a
    storage, is raised at once.

    Args:
        attempt: may be called again after it was broken off anywhere.
        url: of what is read or written, for the log.
    """
    for pause_s in PAUSES_S:
        try:
            return attempt()
        except Exception as error:
            why = reason(error)
            if why is None or is_lasting(error):
                raise
            log.warning("%s: %s; trying again in %.0f s", shown(url), why, pause_s)
        time.sleep(pause_s)
    return attempt()
