"""Damage after a run with faults: rows lost, duplicated or wrong, videos done again, a store not finished."""

import dataclasses
from collections import Counter
from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .material import COLUMNS, SMALL, Material

DONE = "done"  # marks in the trace the start and end of the final command, which must do nothing

Trace = list[tuple[float, str, str, str]]
"""Events in order: time in seconds, process, point or fault, and the video ID or the name of another target."""


@dataclasses.dataclass(frozen=True)
class Left:
    """Damage after a run.

    Attributes:
        faults: number of faults.
        lost, doubled, wrong: number of rows that are missing, duplicated, or differ from those of a run without faults.
        redone: number of videos that were started again although a completed part held them, or after the run was done.
        recovery_s: seconds from each fault until a writer had the affected video, or the next video if none is known;
            until the run was done if there was none.
        runs: number of runs of the command, without the final one, which had nothing to do.
        failed: number of videos in `failures/` that are not in the store.
        unfinished: problems of the store as a whole or of the command's last exit code, a line each.
    """

    faults: int
    lost: int
    doubled: int
    wrong: int
    redone: int
    recovery_s: list[float]
    runs: int
    failed: int = 0
    unfinished: tuple[str, ...] = ()


def look(url: str, material: Material, trace: Trace, runs: int) -> Left:
    """Check every row of every part of a store with pyarrow only, and run the audit on the store.

    Args:
        url: URL of the store.
        material: expected content.
        trace: trace of all runs.
        runs: number of runs.
    """
    from attn.storage.failures import read_failures
    from attn.storage.location import Location
    from attn.storage.parts import list_parts

    root = Location.at(url)
    found: Counter[tuple[str, int]] = Counter()
    wrong = 0
    for part in list_parts(root):
        with part.open() as file:
            table = pq.read_table(file, columns=["video_id", "frame", *SMALL, *COLUMNS])
        keys = list(zip(table["video_id"].to_pylist(), table["frame"].to_pylist(), strict=True))
        found.update(keys)
        wrong += _wrong(keys, table, material)
    wanted = {(video, int(frame)) for video, rows in material.rows.items() for frame in rows["frame"]}
    failures = read_failures(root).keys() - {video for video, _ in found}
    return Left(
        faults=sum("@" in what for _, _, what, _ in trace),
        lost=len(wanted - found.keys()),
        doubled=sum(count - 1 for count in found.values()) + len(found.keys() - wanted),
        wrong=wrong,
        redone=_redone(trace, material.rows.keys()),
        recovery_s=_recovery_s(trace, material.rows.keys()),
        runs=runs,
        failed=len(failures),
        unfinished=_unfinished(url),
    )


def _wrong(keys: list[tuple[str, int]], table: pa.Table, material: Material) -> int:
    """Number of rows with a value that differs from the run without faults."""
    wrong = 0
    small = {name: table[name].to_pylist() for name in SMALL}
    tensors = {name: table[name].combine_chunks().flatten().to_numpy() for name in COLUMNS}
    for place, (video, frame) in enumerate(keys):
        rows = material.rows.get(video)
        at = np.flatnonzero(rows["frame"] == frame) if rows else []
        if rows is None or len(at) != 1:
            continue  # counted as doubled
        same = all(small[name][place] == rows[name][at[0]] for name in SMALL)
        wrong += not (same and all(_close(tensors[name], place, rows[name][at[0]]) for name in COLUMNS))
    return wrong


def _redone(trace: Trace, videos: Collection[str]) -> int:
    """Number of videos started after a completed part held them, or after the run was done.

    A part holds all videos that its writer has written since its previous part.
    """
    done: set[str] = set()
    waiting: dict[str, list[str]] = {}
    redone = 0
    for _, process, what, video in trace:
        if what == DONE:
            done.update(videos)
        elif what == "write":
            waiting.setdefault(process, []).append(video)
        elif what == "committed":
            done.update(waiting.pop(process, []))
        elif what == "dropped":
            waiting.pop(process, None)
        elif what == "decode" and video in done:
            redone += 1
    return redone


def _close(values: np.ndarray, place: int, expected: np.ndarray) -> bool:
    """Return whether a row of a flat column has the expected values, within the effect of another batch size."""
    here = values[place * expected.size : (place + 1) * expected.size]
    return np.allclose(here, expected.ravel(), rtol=2e-3, atol=1e-4)


def _recovery_s(trace: Trace, videos: Collection[str]) -> list[float]:
    """Seconds from each fault until its video, or any video if it has none, is written, or the run is done."""
    written = [(time_s, video) for time_s, _, what, video in trace if what == "write"]
    ends = [time_s for time_s, _, what, _ in trace if what == DONE] or [time_s for time_s, *_ in trace[-1:]]
    recovered = []
    for fault_s, _, what, struck in trace:
        if "@" in what:
            its = [time_s for time_s, video in written if video == struck or struck not in videos]
            recovered.append(next((time_s for time_s in [*its, *ends] if time_s > fault_s), fault_s) - fault_s)
    return recovered


def _unfinished(url: str) -> tuple[str, ...]:
    """Problems of a store that the audit reports."""
    from attn.errors import UsageError
    from attn.storage.audit import audit_store
    from attn.storage.ledger import Ledger

    try:
        audit = audit_store(Ledger.at(url), deep=True)
    except UsageError as error:
        return (str(error),)
    bad = {"unreadable": audit.unreadable, "partial": audit.partial, "doubled": audit.doubled}
    found = [f"{what}: {', '.join(which)}" for what, which in bad.items() if which]
    return (*found, *audit.disagreements, *(["_SUCCESS.json is missing"] if audit.summary is None else []))
