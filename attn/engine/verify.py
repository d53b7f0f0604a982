"""Says whether a store holds every frame of every video exactly once, and mends it where a run could go on."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Set

from attn.datasets.split import read_split
from attn.engine.cli import printable
from attn.engine.split_check import present_videos
from attn.engine.verify_options import VerifyOptions
from attn.errors import UsageError
from attn.storage.audit import Audit, audit_store
from attn.storage.failures import Failure
from attn.storage.filesystem import join, open_filesystem, read_text
from attn.storage.ledger import Ledger
from attn.storage.manifest import NAME as MANIFEST
from attn.storage.manifest import FrameManifest, Manifest, kind_of
from attn.video.source import list_videos

NAMED = 10
EXIT_INCOMPLETE = 1


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What `verify` found.

    Attributes:
        url: of the store.
        audit: what stands there.
        failed: videos that should be there, failed, and why.
        missing: videos that should be there and neither are nor failed; None where nobody said what should be there.
        others: videos that are there although nobody asked for them, which is no fault.
        max_failed_fraction: a larger share of failures is one.
        repaired: what was wrong was taken out.
    """

    url: str
    audit: Audit
    failed: dict[str, Failure]
    missing: list[str] | None
    others: int
    max_failed_fraction: float
    repaired: bool

    @property
    def faults(self) -> list[str]:
        """What keeps the store from being complete, in a few words each."""
        audit, expected = self.audit, len(self.audit.videos) - self.others + len(self.failed) + len(self.missing or ())
        found = [
            (len(audit.unreadable), "unreadable parts"),
            (len(audit.partial), "videos that lack rows"),
            (len(audit.doubled), "videos twice"),
            (len(self.missing or ()), "videos missing"),
            (len(audit.disagreements), "disagreements with _SUCCESS.json"),
            (len(self.failed) if len(self.failed) > self.max_failed_fraction * expected else 0, "videos failed"),
        ]
        faults = [f"{count} {what}" for count, what in found if count]
        return faults if audit.summary is not None else [*faults, "not finished"]

    @property
    def exit_code(self) -> int:
        """0: complete. 1: not."""
        return EXIT_INCOMPLETE if self.faults else 0

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        audit, job = self.audit, self.audit.manifest.job
        yield f"{self.url}: {audit.manifest.kind}, fingerprint {audit.manifest.fingerprint}"
        yield f"{len(audit.videos)} videos, {audit.rows} rows in {audit.num_parts} parts; {len(self.failed)} failed"
        yield from _listed("unreadable part", audit.unreadable.items())
        yield from _listed("lacks rows", audit.partial.items())
        yield from _listed("twice", ((video, " ".join(parts)) for video, parts in audit.doubled.items()))
        yield from _listed("failed", ((video, failure.message) for video, failure in self.failed.items()))
        yield from _listed("missing", ((video, "") for video in self.missing or ()))
        yield from _listed("_SUCCESS.json", (("", text) for text in audit.disagreements))
        if self.others:
            yield f"{self.others} more videos than asked for"
        if not self.faults:
            yield self._complete()
        elif self.repaired or not audit.repairable:
            taken = "what was wrong was taken out; " if self.repaired and audit.repairable else ""
            yield f"NOT complete: {', '.join(self.faults)}; {taken}the same {job}, run again, makes what is missing"
        else:
            yield f"NOT complete: {', '.join(self.faults)}; --repair takes out what is wrong, then the same {job} again"

    def _complete(self) -> str:
        but, every = (f" but for {len(self.failed)} failed", "every other") if self.failed else ("", "every")
        unasked = "" if self.missing is not None else _UNASKED
        return f"complete{but}: every frame of {every} video exactly once{unasked}"


_UNASKED = ", as far as the run noted them; --videos compares with the videos themselves"


def verify(options: VerifyOptions) -> Verdict:
    """Looks at a store, and with `--repair` takes out what is wrong.

    Raises:
        UsageError: no store, no videos, a storage that does not answer, another run that fills the store.
    """
    ledger = Ledger.at(options.store, _kind(options.store))
    wanted = _wanted(options)
    with ledger.occupied() if options.repair else contextlib.nullcontext():
        audit = audit_store(ledger, deep=options.deep)
        if options.repair and audit.repairable:
            ledger.repair(audit.unreadable)
    missing = None if wanted is None else sorted(wanted - audit.videos.keys() - audit.failures.keys())
    others = 0 if wanted is None else len(audit.videos.keys() - wanted)
    # What failed once and is not asked for any more is no fault of the store: no run would try it again.
    asked = wanted if wanted is not None else _failed_in_last_run(audit)
    failed = {video: failure for video, failure in audit.failures.items() if asked is None or video in asked}
    return Verdict(options.store, audit, failed, missing, others, options.max_failed_fraction, options.repair)


def _failed_in_last_run(audit: Audit) -> set[str] | None:
    """The videos that the run which finished the store noted as failed; None where it said nothing of them."""
    noted = (audit.summary or {}).get("failed_videos")
    return set(map(str, noted)) if isinstance(noted, list) else None


def _kind(url: str) -> type[Manifest] | type[FrameManifest]:
    """What kind of store stands there."""
    fs, path = open_filesystem(join(url, MANIFEST))
    try:
        text = read_text(fs, path)
    except UsageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise UsageError(f"{url} is no store: it has no {MANIFEST}") from error
        raise
    return kind_of(text)


def _wanted(options: VerifyOptions) -> Set[str] | None:
    if options.videos is None:
        if options.lists:
            raise UsageError("--lists says which of --videos the store must hold; give --videos too")
        return None
    found = {video.video_id for video in list_videos(options.videos)}
    named: set[str] = set()
    for url in options.lists:
        named |= present_videos(read_split(url), found, store=options.videos, where=url, allow_missing=True).keys()
    return found & named if options.lists else found


def _listed(what: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    found = list(rows)
    for name, why in found[:NAMED]:
        yield f"  {what}: " + printable(": ".join(text for text in (name, why) if text))
    if len(found) > NAMED:
        yield f"  {what}: {len(found) - NAMED} more"
