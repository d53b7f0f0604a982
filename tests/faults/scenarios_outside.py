"""Faults around a run: of the storage, the machine, the videos, and by other runs."""

from collections.abc import Callable

from . import scenarios_machine, scenarios_s3, scenarios_sources, scenarios_two_runs
from .left import Left

SCENARIOS: dict[str, Callable[..., Left]] = {
    **scenarios_s3.SCENARIOS,
    **scenarios_sources.SCENARIOS,
    **scenarios_two_runs.SCENARIOS,
    **scenarios_machine.SCENARIOS,
}


def lacking(name: str) -> str | None:
    """Explain why this machine cannot run a scenario; None if it can."""
    if name in ("full disk", "no room for copies") and not scenarios_machine.may_mount():
        return "only root may mount a small disk; unshare -rm makes one"
    if name == "clock jumps" and not scenarios_machine.may_fake_clock():
        return "libfaketime (the Debian package faketime) and a C compiler fake a clock"
    return None
