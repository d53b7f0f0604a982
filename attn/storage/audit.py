"""Check of a store: every frame of every video exactly once, in readable parts.

The check changes nothing; `Ledger.repair` removes what is wrong.
"""

import collections
import dataclasses
import json
import posixpath
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from attn.errors import UsageError
from attn.storage.contents import SUCCESS
from attn.storage.damage import is_damage
from attn.storage.failures import Failure, read_failures
from attn.storage.filesystem import read_bytes, storage_errors
from attn.storage.ledger import Ledger
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
        found = dict(read_parts(ledger.fs, ledger.root, manifest.schema))
        parts = {path: part for path, part in found.items() if isinstance(part, PartVideos)}
        unreadable = {path: _why(part, ledger) for path, part in found.items() if not isinstance(part, PartVideos)}
        unreadable |= _damaged_pages(ledger, parts) if deep else {}
        sound = [part for path, part in parts.items() if path not in unreadable]
        summary = _summary(ledger)
        failures = read_failures(ledger.fs, ledger.root)
    videos = {video: rows for part in sound for video, rows in part.rows.items()}
    holders = collections.defaultdict(list)
    for part in sound:
        for video in part.rows:
            holders[video].append(_name(part.path))
    audit = Audit(
        manifest,
        videos,
        num_parts=len(sound),
        unreadable={_name(path): why for path, why in unreadable.items()},
        partial={video: _name(part.path) for part in sound for video in part.partial},
        doubled={video: names for video, names in holders.items() if len(names) > 1},
        failures={video: failure for video, failure in failures.items() if video not in videos},
        summary=summary,
        disagreements=[],
    )
    return dataclasses.replace(audit, disagreements=_disagreements(audit, {_name(path) for path in found}))


def _why(error: OSError | pa.ArrowException, ledger: Ledger) -> str:
    """Error text of a damaged part; errors of the storage itself are raised."""
    if not is_damage(error, ledger.fs):
        raise error
    return " ".join(str(error).split()) or type(error).__name__


def _damaged_pages(ledger: Ledger, parts: dict[str, PartVideos]) -> dict[str, str]:
    def check(path: str) -> str | None:
        try:
            check_pages(ledger.fs, path)
        except (OSError, pa.ArrowException) as error:
            return _why(error, ledger)
        return None

    with ThreadPoolExecutor(DEEP_AT_ONCE) as pool:
        found = zip(parts, pool.map(check, parts), strict=True)
        return {path: why for path, why in found if why is not None}


def _summary(ledger: Ledger) -> dict[str, object] | None:
    try:
        summary = json.loads(read_bytes(ledger.fs, f"{ledger.root}/{SUCCESS}"))
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
