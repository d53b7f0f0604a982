"""Verify that a store contains every frame exactly once, and optionally repair it so that a run can resume."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator

from attn.commands.missing import unreadable_videos
from attn.commands.split_check import present_videos
from attn.commands.verify_options import VerifyOptions
from attn.datasets.split import read_label_sets
from attn.engine.allowance import allowed_failures, told_failures
from attn.engine.terminal import printable
from attn.errors import UsageError, VideoError, refuse_flag
from attn.storage.audit import Audit, audit_store
from attn.storage.failures import Failure
from attn.storage.ledger import Ledger
from attn.storage.left_out import LeftOut
from attn.storage.location import Location
from attn.storage.manifest import StoreManifest, read_manifest
from attn.storage.store_manifest import NAME as MANIFEST
from attn.video.found import keep_names, paths_of
from attn.video.source import Listing, Video, find_videos

NAMED = 10
EXIT_INCOMPLETE = 1


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Result of `verify`.

    Attributes:
        url: URL of the store.
        audit: content of the store.
        failed: failures of expected videos by video ID.
        missing: expected videos that are neither in the store nor failed; None if the expected videos are unknown.
        hopeless: reasons by video ID, for missing videos that cannot be read.
        left_out: one line about files that may be unrecognised videos; empty if all files are videos.
        others: number of videos in the store that were not expected; they are not a fault.
        max_failed_fraction: largest allowed share of failed videos.
        repaired: whether faulty parts and rows were removed.
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
        """Reasons why the store is incomplete, a few words each."""
        audit = self.audit
        found = [
            (len(audit.unreadable), "unreadable parts"),
            (len(audit.partial), "incomplete videos"),
            (len(audit.doubled), "duplicate videos"),
            (len(self.missing or ()), "missing videos"),
            (len(audit.disagreements), "contradictions of _SUCCESS.json"),
        ]
        faults = [f"{count} {what}" for count, what in found if count]
        if self._too_many_failed:
            faults.append(told_failures(len(self.failed), self._expected, self.max_failed_fraction))
        return faults if audit.summary is not None else [*faults, "not finished"]

    @property
    def _expected(self) -> int:
        """Number of videos that the store should contain."""
        return len(self.audit.videos) - self.others + len(self.failed) + len(self.missing or ())

    @property
    def _too_many_failed(self) -> int:
        """Number of failed videos if there are too many, otherwise 0."""
        most = allowed_failures(self.max_failed_fraction, self._expected)
        return len(self.failed) if len(self.failed) > most else 0

    @property
    def exit_code(self) -> int:
        """Exit code: 0 if the store is complete, otherwise 1."""
        return EXIT_INCOMPLETE if self.faults else 0

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        audit = self.audit
        yield f"{self.url}: {audit.manifest.kind}, fingerprint {audit.manifest.fingerprint}"
        yield f"{len(audit.videos)} videos, {audit.rows} rows in {audit.num_parts} parts; {len(self.failed)} failed"
        yield from _listed("unreadable part", audit.unreadable.items())
        yield from _listed("incomplete", audit.partial.items())
        yield from _listed("duplicate", ((video, " ".join(parts)) for video, parts in audit.doubled.items()))
        yield from _listed("failed", ((video, failure.message) for video, failure in self.failed.items()))
        yield from _listed("missing", ((video, self.hopeless.get(video, "")) for video in self.missing or ()))
        yield from _listed("_SUCCESS.json", (("", text) for text in audit.disagreements))
        if self.others:
            yield f"{self.others} videos that were not asked for"
        if self.left_out:
            yield self.left_out
        yield (
            f"NOT complete: {'. '.join([', '.join(self.faults), *self._ways_out()])}."
            if self.faults
            else self._complete()
        )

    def _ways_out(self) -> Iterator[str]:
        """Instructions to complete the store. Another run helps unless only unreadable videos remain."""
        audit, job = self.audit, self.audit.manifest.job
        lost = {video for video, failure in self.failed.items() if failure.error == VideoError.__name__}
        lost = (lost if self._too_many_failed else set()) | self.hopeless.keys()
        faults = len(self.missing or ()) + self._too_many_failed
        if audit.repairable and not self.repaired:
            yield f"Remove the faults with --repair, then run the same {job} again"
        elif audit.repairable:
            yield f"The faults were removed. Run the same {job} again to complete the store"
        elif faults > len(lost) or audit.disagreements or audit.summary is None:
            yield f"Run the same {job} again to complete the store"
        if lost:
            yield (
                f"{len(lost)} of the videos cannot be read, even by another run: replace or remove them, or allow "
                f"them with --max-failed-fraction{f' of the same {job}' if self.hopeless else ''}"
            )

    def _complete(self) -> str:
        but, every = (f" except for {len(self.failed)} failed", "every other") if self.failed else ("", "every")
        unasked = "" if self.missing is not None else _UNASKED
        return f"complete{but}: every frame of {every} video exactly once{unasked}"


_UNASKED = ", according to the record of the last run; give --videos to compare with the videos themselves"


def verify(options: VerifyOptions) -> Verdict:
    """Check a store, and remove faulty parts and rows with `--repair`.

    Raises:
        UsageError: store or videos do not exist, the storage does not respond, or another run is filling the store.
    """
    share = options.max_failed_fraction
    refuse_flag("max_failed_fraction", share, "must be from 0 to 1", not 0 <= share <= 1)
    ledger = Ledger.at(options.store, _kind(options.store))
    listing = _listing(options)
    with ledger.locked() if options.repair else contextlib.nullcontext():
        audit = audit_store(ledger, deep=options.deep)
        if options.repair and audit.repairable:
            ledger.repair(audit.unreadable)
    wanted = None if listing is None else _wanted(options, listing, audit)
    missing = None if wanted is None else sorted(wanted.keys() - audit.videos.keys() - audit.failures.keys())
    others = 0 if wanted is None else len(audit.videos.keys() - wanted.keys())
    # Failures of videos that are not expected any more are not faults: a run would not retry them.
    asked = wanted.keys() if wanted is not None else _failed_in_last_run(audit)
    failed = {video: failure for video, failure in audit.failures.items() if asked is None or video in asked}
    hopeless = {} if wanted is None else unreadable_videos([wanted[video] for video in missing or ()])
    left_out, most = _left_out(listing, audit), options.max_failed_fraction
    return Verdict(options.store, audit, failed, missing, hopeless, left_out, others, most, options.repair)


def _left_out(listing: Listing | None, audit: Audit) -> str:
    """Line about files not recognised as videos, from the listing of --videos or the record of the last run."""
    recorded = (audit.summary or {}).get("left_out")
    if listing is not None:
        untaken = listing.left_out
    elif isinstance(recorded, dict):
        untaken = LeftOut.of_record(recorded)
    else:
        return ""
    return untaken.told("videos") if untaken.files else ""


def _failed_in_last_run(audit: Audit) -> set[str] | None:
    """Failed videos in the record of the run that finished the store; None without such a record."""
    recorded = (audit.summary or {}).get("failed_videos")
    return set(map(str, recorded)) if isinstance(recorded, list) else None


def _kind(url: str) -> type[StoreManifest]:
    """Kind of the store at a URL."""
    folder = Location.at(url)
    with folder.errors():
        manifest = read_manifest(folder, StoreManifest)
    if manifest is None:
        raise UsageError(f"{url}: not a store, because {MANIFEST} is missing. Give the URL of a store.")
    return type(manifest)


def _listing(options: VerifyOptions) -> Listing | None:
    """List the expected videos, before their IDs in the store are known."""
    if options.videos is None:
        if options.lists:
            raise UsageError("--lists: requires --videos. Give --videos too, or leave out --lists.")
        return None
    return find_videos(options.videos)


def _wanted(options: VerifyOptions, listing: Listing, audit: Audit) -> dict[str, Video]:
    found = keep_names(listing.found, audit.videos.keys(), options.store)
    videos = {one.video.video_id: one.video for one in found}
    named: set[str] = set()
    for url in options.lists:
        split = read_label_sets(url, present=paths_of(videos.values()))
        named |= present_videos(split, videos, store=options.videos or "", where=url, allow_missing=True).keys()
    return {video: videos[video] for video in named} if options.lists else videos


def _listed(what: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    found = list(rows)
    for name, why in found[:NAMED]:
        yield f"  {what}: " + printable(": ".join(text for text in (name, why) if text))
    if len(found) > NAMED:
        yield f"  {what}: {len(found) - NAMED} more"
