"""Says whether a store holds every frame exactly once, and mends it if a run could resume."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator

from attn.datasets.split import read_split
from attn.engine.allowance import allowed_failures, told_failures
from attn.engine.cli import printable
from attn.engine.missing import unreadable_videos
from attn.engine.split_check import present_videos
from attn.engine.verify_options import VerifyOptions
from attn.errors import UsageError, VideoError
from attn.storage.audit import Audit, audit_store
from attn.storage.failures import Failure
from attn.storage.filesystem import join, open_filesystem, read_text
from attn.storage.ledger import Ledger
from attn.storage.left_out import LeftOut
from attn.storage.manifest import NAME as MANIFEST
from attn.storage.manifest import FrameManifest, Manifest, kind_of
from attn.video.found import keep_names, paths_of
from attn.video.source import Listing, Video, find_videos

NAMED = 10
EXIT_INCOMPLETE = 1


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Findings of `verify`.

    Attributes:
        url: of the store.
        audit: what stands there.
        failed: videos that should be there, failed, and why.
        missing: videos that should be there and neither are nor failed; None if it was not said what should be there.
        hopeless: missing videos of which it was found that they cannot be read, and why.
        left_out: one line on the files beside the videos that may be videos too; empty if there are none.
        others: videos in the store that were not asked for; they are not a fault.
        max_failed_fraction: a larger share of failures is one.
        repaired: what was wrong was taken out.
    """

    url: str
    audit: Audit
    failed: dict[str, Failure]
    missing: list[str] | None
    hopeless: dict[str, str]
    left_out: str
    others: int
    max_failed_fraction: float
    repaired: bool

    @property
    def faults(self) -> list[str]:
        """Reasons why the store is not complete, in a few words each."""
        audit = self.audit
        found = [
            (len(audit.unreadable), "unreadable parts"),
            (len(audit.partial), "videos that lack rows"),
            (len(audit.doubled), "videos twice"),
            (len(self.missing or ()), "videos missing"),
            (len(audit.disagreements), "disagreements with _SUCCESS.json"),
        ]
        faults = [f"{count} {what}" for count, what in found if count]
        if self._too_many_failed:
            faults.append(told_failures(len(self.failed), self._expected, self.max_failed_fraction))
        return faults if audit.summary is not None else [*faults, "not finished"]

    @property
    def _expected(self) -> int:
        """Videos that the store should hold."""
        return len(self.audit.videos) - self.others + len(self.failed) + len(self.missing or ())

    @property
    def _too_many_failed(self) -> int:
        """Failed videos if they are more than may; else 0."""
        most = allowed_failures(self.max_failed_fraction, self._expected)
        return len(self.failed) if len(self.failed) > most else 0

    @property
    def exit_code(self) -> int:
        """0: complete. 1: not."""
        return EXIT_INCOMPLETE if self.faults else 0

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        audit = self.audit
        yield f"{self.url}: {audit.manifest.kind}, fingerprint {audit.manifest.fingerprint}"
        yield f"{len(audit.videos)} videos, {audit.rows} rows in {audit.num_parts} parts; {len(self.failed)} failed"
        yield from _listed("unreadable part", audit.unreadable.items())
        yield from _listed("lacks rows", audit.partial.items())
        yield from _listed("twice", ((video, " ".join(parts)) for video, parts in audit.doubled.items()))
        yield from _listed("failed", ((video, failure.message) for video, failure in self.failed.items()))
        yield from _listed("missing", ((video, self.hopeless.get(video, "")) for video in self.missing or ()))
        yield from _listed("_SUCCESS.json", (("", text) for text in audit.disagreements))
        if self.others:
            yield f"{self.others} more videos than asked for"
        if self.left_out:
            yield self.left_out
        yield (
            f"NOT complete: {'; '.join([', '.join(self.faults), *self._ways_out()])}"
            if self.faults
            else self._complete()
        )

    def _ways_out(self) -> Iterator[str]:
        """Ways out of the faults: a run helps unless all that is left are videos that cannot be read."""
        audit, job = self.audit, self.audit.manifest.job
        lost = {video for video, failure in self.failed.items() if failure.error == VideoError.__name__}
        lost = (lost if self._too_many_failed else set()) | self.hopeless.keys()
        faults = len(self.missing or ()) + self._too_many_failed
        if audit.repairable and not self.repaired:
            yield f"--repair takes out what is wrong, then the same {job} again"
        elif audit.repairable:
            yield f"what was wrong was taken out; the same {job}, run again, makes what is missing"
        elif faults > len(lost) or audit.disagreements or audit.summary is None:
            yield f"the same {job}, run again, makes what is missing"
        if lost:
            yield (
                f"{len(lost)} of the videos cannot be read, and no run changes that: replace or remove them, or allow "
                f"them with --max-failed-fraction{f' of the same {job}' if self.hopeless else ''}"
            )

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
    listing = _listing(options)
    with ledger.occupied() if options.repair else contextlib.nullcontext():
        audit = audit_store(ledger, deep=options.deep)
        if options.repair and audit.repairable:
            ledger.repair(audit.unreadable)
    wanted = None if listing is None else _wanted(options, listing, audit)
    missing = None if wanted is None else sorted(wanted.keys() - audit.videos.keys() - audit.failures.keys())
    others = 0 if wanted is None else len(audit.videos.keys() - wanted.keys())
    # What failed once and is not asked for any more is no fault of the store: no run would try it again.
    asked = wanted.keys() if wanted is not None else _failed_in_last_run(audit)
    failed = {video: failure for video, failure in audit.failures.items() if asked is None or video in asked}
    hopeless = {} if wanted is None else unreadable_videos([wanted[video] for video in missing or ()])
    told, most = _left_out(listing, audit), options.max_failed_fraction
    return Verdict(options.store, audit, failed, missing, hopeless, told, others, most, options.repair)


def _left_out(listing: Listing | None, audit: Audit) -> str:
    """The files that were not taken: of the videos that were named, else as the run noted them."""
    noted = (audit.summary or {}).get("left_out")
    if listing is not None:
        untaken = listing.left_out
    elif isinstance(noted, dict):
        untaken = LeftOut.of_record(noted)
    else:
        return ""
    return untaken.told("videos") if untaken.files else ""


def _failed_in_last_run(audit: Audit) -> set[str] | None:
    """The videos that the run which finished the store noted as failed; None where it said nothing of them."""
    noted = (audit.summary or {}).get("failed_videos")
    return set(map(str, noted)) if isinstance(noted, list) else None


def _kind(url: str) -> type[Manifest] | type[FrameManifest]:
    """Kind of the store that stands there."""
    fs, path = open_filesystem(join(url, MANIFEST))
    try:
        text = read_text(fs, path)
    except UsageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise UsageError(f"{url} is no store: it has no {MANIFEST}") from error
        raise
    return kind_of(text)


def _listing(options: VerifyOptions) -> Listing | None:
    """The videos that the store should hold, before it is known how it calls them."""
    if options.videos is None:
        if options.lists:
            raise UsageError("--lists says which of --videos the store must hold; give --videos too")
        return None
    return find_videos(options.videos)


def _wanted(options: VerifyOptions, listing: Listing, audit: Audit) -> dict[str, Video]:
    found = keep_names(listing.found, audit.videos.keys(), options.store)
    videos = {one.video.video_id: one.video for one in found}
    named: set[str] = set()
    for url in options.lists:
        split = read_split(url, present=paths_of(videos.values()))
        named |= present_videos(split, videos, store=options.videos or "", where=url, allow_missing=True).keys()
    return {video: videos[video] for video in named} if options.lists else videos


def _listed(what: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    found = list(rows)
    for name, why in found[:NAMED]:
        yield f"  {what}: " + printable(": ".join(text for text in (name, why) if text))
    if len(found) > NAMED:
        yield f"  {what}: {len(found) - NAMED} more"
