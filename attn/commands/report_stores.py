"""Pieces of stores: throughput, and the videos that failed."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from attn.commands.report_runs import Found, Run, exists, read_json
from attn.report.page_blocks import Note, Piece, Table
from attn.storage import manifest
from attn.storage.contents import SUCCESS
from attn.storage.error_messages import shown
from attn.storage.failures import Failure, read_failures
from attn.storage.filesystem import join
from attn.storage.ledger import PROGRESS
from attn.storage.location import Location
from attn.storage.manifest import FlowManifest, Manifest
from attn.storage.store_manifest import kind_of

MISSING = "–"


@dataclasses.dataclass(frozen=True)
class StoreRecord:
    """Counts of a store.

    Attributes:
        name: name in the table.
        kind: kind of store.
        made: columns and shapes.
        counts: `_SUCCESS.json` of a finished store, `progress.json` of another; empty if it has neither.
        finished: whether the store is finished.
        failures: failed videos.
    """

    name: str
    kind: str
    made: str
    counts: dict[str, Any]
    finished: bool
    failures: Sequence[Failure]


def read_store(url: str, name: str) -> StoreRecord:
    """Read the records of a store, but none of its parts."""
    file = join(url, manifest.NAME)
    fields = read_json(file)
    kind = kind_of(fields, where=shown(file))
    finished = exists(join(url, SUCCESS))
    file = join(url, SUCCESS if finished else PROGRESS)
    counts = read_json(file) if exists(file) else {}
    folder = Location.at(url)
    with folder.errors():
        failures = read_failures(folder)
    failed = set(counts.get("failed_videos", ())) if finished else failures.keys()
    made = f"{', '.join(fields['columns'])}; {fields['input_size']} px, {_sampled(fields['sampling'])}"
    if kind is Manifest:
        made = f"{fields['backbone']}, {len(fields['class_names'])} classes; {made}"
    if kind is FlowManifest:
        made = f"{fields['algorithm']}; {made}"
    return StoreRecord(name, kind.kind, made, counts, finished, [failures[one] for one in failed & failures.keys()])


def read_one_store(run: Run) -> Found:
    """Return the pieces of a store."""
    record = read_store(run.url, run.name)
    videos = record.counts.get("videos", record.counts.get("videos_done", "?"))
    state = "finished" if record.finished else "unfinished"
    return Found(f"{state} {record.kind} of {videos} videos", list(pieces_of_stores([record])))


def pieces_of_stores(records: Sequence[StoreRecord]) -> Iterator[Piece]:
    """Yield a table of the stores and one of the failed videos."""
    head = ["store", "kind", "videos", "frames", "failed", "frames a second", "seconds", "finished", "made of"]
    yield Piece("stores", Table(head, [_row(one) for one in records], "Throughput"))
    failures = [(record.name, one) for record in records for one in record.failures]
    if not failures:
        yield Piece("stores", Note("No video failed."))
        return
    kinds = Counter(one.error for _, one in failures).most_common()
    rows = [[store, one.video_id, one.stage, one.error, one.message, str(one.attempt)] for store, one in failures]
    yield Piece("stores", Note("Failures: " + ", ".join(f"{count} {error}" for error, count in kinds) + "."))
    yield Piece("stores", Table(["store", "video", "stage", "error", "message", "attempt"], rows, "Failed videos"))


def _row(record: StoreRecord) -> list[str]:
    names = ("videos", "rows", "failed", "frames_per_s", "seconds")
    running = ("videos_done", "frames", "videos_failed", "frames_per_s", "elapsed_s")
    numbers = [record.counts.get(name) for name in (names if record.finished else running)]
    cells = [MISSING if one is None else f"{one:g}" if isinstance(one, float) else str(one) for one in numbers]
    return [record.name, record.kind, *cells, "yes" if record.finished else "no", record.made]


def _sampled(sampling: dict[str, Any]) -> str:
    return f"{sampling['fps']:g} frames a second" if "fps" in sampling else f"every {sampling['stride']}th frame"
