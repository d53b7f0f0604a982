"""Fills a store with rows of every frame of every video, each exactly once.

A run is a few passes over the videos that are not done. What a pass loses (a worker, an actor, a node died) the next
one does, each video alone, so that one which kills its worker takes no other with it. What is lost three times is a
failure. A pass that loses a writer ends early and says nothing about the videos: it does not count.
"""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Generator, Sequence
from typing import Any, Protocol

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from attn.engine.cli import EXIT_FAILED_VIDEOS
from attn.engine.dataflow import ComputeError, WriterDiedError
from attn.engine.placement import Placement
from attn.engine.progress import Progress
from attn.engine.writers import start_writers
from attn.errors import UsageError
from attn.stages.decode import DecodeVideos
from attn.storage.failures import Failure, read_failures
from attn.storage.ledger import Ledger
from attn.storage.manifest import StoreManifest
from attn.storage.writer import StoreWriter, Written
from attn.video.source import Video

log = logging.getLogger(__name__)

PASSES = 3
MOST_VIDEOS_PER_TASK = 16
EXIT_ERROR = 1


@dataclasses.dataclass(frozen=True)
class StorePlan:
    """A run that is possible: the store, the videos it must hold at the end, and how they are decoded.

    Attributes:
        part_mb: size at which a part is closed, in MB before compression.
        max_failed_fraction: more failures than this share of the videos are an error.
    """

    videos: list[Video]
    manifest: StoreManifest
    ledger: Ledger
    stage: DecodeVideos
    part_mb: int
    max_failed_fraction: float


class Chain(Protocol):
    """A chain of `attn.engine.dataflow` that has been told all but this."""

    def __call__(
        self, videos: Sequence[Video], *, stage: DecodeVideos, writers: Sequence[Any], videos_per_task: int
    ) -> Generator[int, None, None]: ...


def fill_store(plan: StorePlan, placement: Placement, chain: Chain) -> int:
    """Fills a store whose ledger was begun; the exit code."""
    return _Run(plan, placement, chain).finish_store()


class _Run:
    """One call of a job on a plan."""

    def __init__(self, plan: StorePlan, placement: Placement, chain: Chain):
        self.plan, self.placement, self.chain = plan, placement, chain
        self.started_s = time.monotonic()
        self.done: dict[str, int] = {}
        self.failed: set[str] = set()
        self.rate: float | None = None
        self.earlier_attempts = max((f.attempt for f in self._failures().values()), default=0)

    def finish_store(self) -> int:
        """Passes until nothing is left to do, then `_SUCCESS.json`."""
        left = self._left()
        log.info("%d done before; %s", len(self.plan.videos) - len(left), self.placement)
        passes = idle = 0
        while left and passes < PASSES:
            if passes:
                log.warning("%d videos were lost with a worker; trying them again, each alone", len(left))
            try:
                self._pass(passes + 1, left)
                passes += 1
            except WriterDiedError:
                log.warning("a writer died; what it had not written is made again")
                idle += 1
            except (ComputeError, RayError) as error:
                return self._stopped(_reason(error))
            before, left = len(left), self._left()
            if len(left) < before:
                idle = 0
            elif idle == PASSES:
                return self._stopped("the writers die before they have written anything; see Ray's logs")
        self._give_up(left)
        return self._finish()

    def _stopped(self, why: str) -> int:
        log.error("%s; what is done is kept, the same command goes on from here", why)
        return EXIT_ERROR

    def _left(self) -> list[Video]:
        """Videos neither done nor failed, by what the parts say."""
        self.done = self.plan.ledger.done()
        return [video for video in self.plan.videos if video.video_id not in self.done.keys() | self.failed]

    def _pass(self, number: int, videos: Sequence[Video]) -> None:
        writers = start_writers(
            self.placement.writers, self.plan.ledger.url, self.plan.manifest, part_bytes=self.plan.part_mb * 2**20
        )
        stage = dataclasses.replace(self.plan.stage, attempt=self.earlier_attempts + number)
        per_task = self._videos_per_task(len(videos)) if number == 1 else 1
        chain = self.chain(videos, stage=stage, writers=writers, videos_per_task=per_task)
        progress = self._progress(len(videos), writers)
        try:
            with progress, contextlib.closing(chain):
                for frames in chain:
                    progress.add(frames)
        finally:
            written, problem = self._close(writers)
            progress.tell(lambda: written)
            self.rate = self.rate or progress.steady_rate
        if problem:
            raise ComputeError(problem)

    def _close(self, writers: Sequence[Any]) -> tuple[Written, str | None]:
        """Closes the parts of the writers that live, learns which videos failed, and ends the writers.

        Returns:
            What they wrote, and why one could not end its part, if so.
        """
        total, problem = Written(), None
        for writer in writers:
            try:
                self.failed |= _ask(writer.failed)
                _ask(writer.flush)
                total = total + _ask(writer.counts)
            except RayActorError:
                log.warning("a writer died; what it had not written is made again")
            except RayTaskError as error:
                problem = _reason(error)
            ray.kill(writer)
        return total, problem

    def _progress(self, left: int, writers: Sequence[Any]) -> Progress:
        def written() -> Written:
            return sum((_ask(writer.counts) for writer in writers), Written())

        total, failed = len(self.plan.videos), len(self.failed)
        return Progress(self.plan.ledger, done=total - left - failed, failed=failed, total=total, written=written)

    def _videos_per_task(self, videos: int) -> int:
        """Many, so that batches are full; few enough that every decode task gets some."""
        return max(1, min(MOST_VIDEOS_PER_TASK, videos // (4 * max(self.placement.decode_tasks, 1))))

    def _give_up(self, videos: Sequence[Video]) -> None:
        """Records videos that were lost in every pass."""
        if not videos:
            return
        writer = StoreWriter(self.plan.ledger.url, self.plan.manifest.schema, part_bytes=1)
        for video in videos:
            message = f"its worker died in each of {PASSES} attempts; Ray's logs say of what"
            attempt = self.earlier_attempts + PASSES
            writer.fail(Failure(video.video_id, video.url, "decode", "WorkerDied", message, attempt))
        writer.flush()
        self.failed |= {video.video_id for video in videos}

    def _finish(self) -> int:
        done, seconds = self.done, time.monotonic() - self.started_s
        rows = sum(done.values())
        summary = {
            "fingerprint": self.plan.manifest.fingerprint,
            "videos": len(done),
            "rows": rows,
            "failed": len(self.failed),
            "seconds": round(seconds, 1),
            "frames_per_s": self.rate and round(self.rate, 1),
        }
        self.plan.ledger.finish(summary)
        found = (self.plan.ledger.url, len(done), rows, len(self.failed), seconds)
        log.info("%s: %d videos, %d rows, %d failed, %.0f s", *found)
        return self._verdict()

    def _verdict(self) -> int:
        """Names the failures; 3 when they are too many."""
        reasons = self._failures()
        for video_id in sorted(self.failed)[:10]:
            log.warning("failed: %s: %s", video_id, reasons[video_id].message if video_id in reasons else "no record")
        if len(self.failed) > 10:
            log.warning("failed: %d more, see %s/failures/", len(self.failed) - 10, self.plan.ledger.url)
        most = self.plan.max_failed_fraction * len(self.plan.videos)
        if len(self.failed) > most:
            log.error("%d videos failed, --max-failed-fraction allows %.1f", len(self.failed), most)
            return EXIT_FAILED_VIDEOS
        return 0

    def _failures(self) -> dict[str, Failure]:
        return read_failures(self.plan.ledger.fs, self.plan.ledger.root)


def _reason(error: Exception) -> str:
    """One line, of what went wrong on the other machine rather than of how we learnt of it."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    text = " ".join(str(cause).split())
    return text if isinstance(cause, ComputeError | UsageError) else f"{type(cause).__name__}: {text}"


def _ask(method: Any) -> Any:
    """What a method of an actor returns."""
    return ray.get(method.remote())
