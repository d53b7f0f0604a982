"""What is left of a run that was broken: rows lost, doubled or wrong, videos done again, a store not finished."""

import dataclasses
from collections import Counter
from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .material import COLUMNS, SMALL, Material

DONE = "done"  # in the trace, before and after the command that must do nothing

Trace = list[tuple[float, str, str, str]]
"""(second, process, point or fault, video id or what else was struck) of everything that happened, in order."""


@dataclasses.dataclass(frozen=True)
class Left:
    """What is left of a run.

    Attributes:
        faults: how many there were.
        lost, doubled, wrong: rows of the store that are not there, there more than once, or have other values than
            those of a run that no one broke.
        redone: videos that were begun again although they stood in a completed part, or after all was done.
        recovery_s: of each fault, seconds until a writer had the video it struck, or where none is known, the next;
            until all was done where none came.
        runs: how often the command was given, without the last time, when nothing was left to do.
        failed: videos in `failures/` and not in the store.
        unfinished: what is wrong with the store as a whole or with how the command ended, a line each.
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
    """Looks at a store, part by part and row by row, with pyarrow alone; and asks the audit whether it is whole.

    Args:
        url: of the store.
        material: what must be in it.
        trace: of its runs.
        runs: how many these were.
    """
    from attn.storage.failures import read_failures
    from attn.storage.filesystem import open_filesystem
    from attn.storage.parts import list_parts

    fs, root = open_filesystem(url)
    found: Counter[tuple[str, int]] = Counter()
    wrong = 0
    for path in list_parts(fs, root):
        with fs.open(path, "rb") as file:
            table = pq.read_table(file, columns=["video_id", "frame", *SMALL, *COLUMNS])
        keys = list(zip(table["video_id"].to_pylist(), table["frame"].to_pylist(), strict=True))
        found.update(keys)
        wrong += _wrong(keys, table, material)
    wanted = {(video, int(frame)) for video, rows in material.rows.items() for frame in rows["frame"]}
    failures = read_failures(fs, root).keys() - {video for video, _ in found}
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
    """Rows with anything that is not as in the run without faults."""
    wrong = 0
    small = {name: table[name].to_pylist() for name in SMALL}
    tensors = {name: table[name].combine_chunks().flatten().to_numpy() for name in COLUMNS}
    for place, (video, frame) in enumerate(keys):
        rows = material.rows.get(video)
        at = np.flatnonzero(rows["frame"] == frame) if rows else []
        if rows is None or len(at) != 1:
            continue  # counted as one too many
        same = all(small[name][place] == rows[name][at[0]] for name in SMALL)
        wrong += not (same and all(_close(tensors[name], place, rows[name][at[0]]) for name in COLUMNS))
    return wrong


def _redone(trace: Trace, videos: Collection[str]) -> int:
    """Videos begun after their part was complete: it holds what its writer has written since the part before.

    And any that are begun when all is done.
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
    """Whether a row of a flat column is what it should be, but for what a batch of another size changes."""
    here = values[place * expected.size : (place + 1) * expected.size]
    return np.allclose(here, expected.ravel(), rtol=2e-3, atol=1e-4)


def _recovery_s(trace: Trace, videos: Collection[str]) -> list[float]:
    """Of each fault, the seconds until its video is written, or any if it struck none; or until all was done."""
    written = [(time_s, video) for time_s, _, what, video in trace if what == "write"]
    ends = [time_s for time_s, _, what, _ in trace if what == DONE] or [time_s for time_s, *_ in trace[-1:]]
    recovered = []
    for fault_s, _, what, struck in trace:
        if "@" in what:
            its = [time_s for time_s, video in written if video == struck or struck not in videos]
            recovered.append(next((time_s for time_s in [*its, *ends] if time_s > fault_s), fault_s) - fault_s)
    return recovered


def _unfinished(url: str) -> tuple[str, ...]:
    """What the audit says against a store."""
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
