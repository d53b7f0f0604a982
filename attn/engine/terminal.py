"""Text for the terminal, and the signal that ends a job."""

import logging
import signal
import sys
import threading
import time
from types import FrameType

CLOCK = "%H:%M:%S"


def say(text: str) -> None:
    """Print the current operation if stderr is a terminal. Elsewhere, an error message stays the only line."""
    if sys.stderr.isatty() and logging.getLogger("attn").level <= logging.INFO:
        sys.stderr.write(f"{time.strftime(CLOCK)} {printable(text)}\n")


def printable(text: str) -> str:
    """Escape line breaks and terminal control characters in a text."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def end_on_sigterm() -> None:
    """Handle SIGTERM, which `ray job stop` sends, like Ctrl-C, so that a job saves its work.

    The SIGINT handler is called directly: SIGINT itself may be blocked in jobs started by Ray and ignored in background
    jobs of shell scripts.
    """

    def stop(_: int, frame: FrameType | None) -> None:
        on_ctrl_c = signal.getsignal(signal.SIGINT)
        if not callable(on_ctrl_c):
            raise KeyboardInterrupt
        on_ctrl_c(signal.SIGINT, frame)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
