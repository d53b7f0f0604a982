"""Check of a store: every frame of every video exactly once, in readable parts.

The check changes nothing; `Ledger.repair` removes what is wrong.
"""

import collections
import dataclasses
import json
import posixpath
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from attn.errors import UsageError
from attn.storage.contents import SUCCESS
from attn.storage.damage import is_damage
from attn.storage.failures import Failure, read_failures
from attn.storage.filesystem import storage_errors
from attn.storage.ledger import Ledger
from attn.storage.location import Location
from attn.storage.manifest import StoreManifest
from attn.storage.parts import PartVideos, check_pages, read_parts

DEEP_AT_ONCE = 4  # each thread holds a row group, about 60 MB in a frame store


@dataclasses.dataclass(frozen=True)
class Audit:
    """Result of checking a store.

    Attributes:
        videos: complete videos, with their numbers of rows.
        num_parts: number of readable parts.
        unreadable: part → error.
        partial: video → part in which its rows are incomplete, out of order or duplicated.
        doubled: complete video → the parts that hold it, if there are several.
        failures: failures of the videos that are not complete.
        summary: content of `_SUCCESS.json`; None if the store is not finished.
        disagreements: differences between `summary` and the store, each in a few words.
    """

    manifest: StoreManifest
    videos: dict[str, int]
    num_parts: int
    unreadable: dict[str, str]
    partial: dict[str, str]
    doubled: dict[str, list[str]]
    failures: dict[str, Failure]
    summary: dict[str, object] | None
    disagreements: list[str]

    @property
    def rows(self) -> int:
        """Number of rows of the complete videos, each video counted once."""
        return sum(self.videos.values())

    @property
    def repairable(self) -> bool:
        """Whether something must be removed before the next run can finish the store."""
        return bool(self.unreadable or self.partial or self.doubled)


def audit_store(ledger: Ledger, *, deep: bool = False) -> Audit:
    """Check the small columns of every part, or all columns if `deep`, including their checksums.

    Raises:
        UsageError: no store exists at the URL, or the storage does not answer.
    """
    with storage_errors(ledger.url):
        manifest = ledger.manifest()
        if manifest is None:
            raise UsageError(f"{ledger.url}: no {ledger.kind.kind} here (manifest.json is missing). Check the URL.")
        found = dict(read_parts(ledger.folder, manifest.schema))
        parts = {part: read for part, read in found.items() if isinstance(read, PartVideos)}
        unreadable = {part: _why(read, part) for part, read in found.items() if not isinstance(read, PartVideos)}
        unreadable |= _damaged_pages(parts) if deep else {}
        sound = [read for part, read in parts.items() if part not in unreadable]
        summary = _summary(ledger)
        failures = read_failures(ledger.folder)
    videos = {video: rows for part in sound for video, rows in part.rows.items()}
    holders = collections.defaultdict(list)
    for part in sound:
        for video in part.rows:
            holders[video].append(_name(part.path))
    audit = Audit(
        manifest,
        videos,
        num_parts=len(sound),
        unreadable={part.name: why for part, why in unreadable.items()},
        partial={video: _name(part.path) for part in sound for video in part.partial},
        doubled={video: names for video, names in holders.items() if len(names) > 1},
        failures={video: failure for video, failure in failures.items() if video not in videos},
        summary=summary,
        disagreements=[],
    )
    return dataclasses.replace(audit, disagreements=_disagreements(audit, {part.name for part in found}))


def _why(error: OSError | pa.ArrowException, part: Location) -> str:
    """Error text of a damaged part; errors of the storage itself are raised."""
    if not is_damage(error, part):
        raise error
    return " ".join(str(error).split()) or type(error).__name__


def _damaged_pages(parts: Iterable[Location]) -> dict[Location, str]:
    def check(part: Location) -> str | None:
        try:
            check_pages(part)
        except (OSError, pa.ArrowException) as error:
            return _why(error, part)
        return None

    with ThreadPoolExecutor(DEEP_AT_ONCE) as pool:
        found = zip(parts, pool.map(check, parts), strict=True)
        return {part: why for part, why in found if why is not None}


def _summary(ledger: Ledger) -> dict[str, object] | None:
    try:
        summary = json.loads((ledger.folder / SUCCESS).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return summary if isinstance(summary, dict) else {}


def _disagreements(audit: Audit, parts: set[str]) -> list[str]:
    if audit.summary is None:
        return []
    counts = {"videos": len(audit.videos), "rows": audit.rows, "fingerprint": audit.manifest.fingerprint}
    wrong = [
        f"{name}: {found} found, {audit.summary.get(name)} recorded"
        for name, found in counts.items()
        if audit.summary.get(name) != found
    ]
    failed = audit.summary.get("failed")
    if isinstance(failed, int) and failed > len(audit.failures):
        wrong.append(f"failed: {len(audit.failures)} found, {failed} recorded")
    recorded = audit.summary.get("parts")
    listed = set(map(str, recorded)) if isinstance(recorded, list) else set[str]()
    return wrong + [f"{name} is missing" for name in sorted(listed - parts)]


def _name(path: str) -> str:
    return posixpath.basename(path)
