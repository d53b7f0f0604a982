"""Fill a store with the rows of every frame of every video, each exactly once.

A run makes up to three passes over the unfinished videos. A video stays unfinished if a worker, actor or node dies, a
decoder is stopped, or the storage does not respond. Later passes process each video in its own task, so that a video
that kills its worker affects no other. Videos that three passes do not finish count as failed. A pass that loses a
writer ends early and does not count.

Ray Data's checkpointing is not used: it marks a video as done when any block with its rows is committed, and a resumed
run then lost or duplicated rows (docs/ray.md).
"""

import contextlib
import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Protocol

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from attn.engine.allowance import allowed_failures, told_failures
from attn.engine.delivery import ComputeError, WriterDiedError
from attn.engine.exit_codes import EXIT_FAILED_VIDEOS, EXIT_INTERRUPTED
from attn.engine.placement import Placement
from attn.engine.progress import Progress
from attn.engine.writers import start_writers
from attn.errors import UsageError
from attn.stages.decode_videos import DecodeVideos
from attn.storage.failures import Failure, read_failures
from attn.storage.filesystem import storage_errors
from attn.storage.ledger import Ledger
from attn.storage.left_out import NOTHING, LeftOut
from attn.storage.manifest import StoreManifest
from attn.storage.retry import retried
from attn.storage.writer import StoreWriter, Written
from attn.video.source import Video

log = logging.getLogger(__name__)

PASSES = 3
EXIT_ERROR = 1
WRITER_LOST = "a writer died; its unwritten rows are computed again"


@dataclasses.dataclass(frozen=True)
class StorePlan:
    """Valid settings of a run: the store, the videos it must contain at the end, and the decoding stage.

    Attributes:
        part_mb: size at which a part is closed, in MB before compression.
        max_failed_fraction: largest allowed share of failed videos.
        go_on: instruction for users on how to resume the run.
        left_out: files that are not recognised as videos.
    """

    videos: list[Video]
    manifest: StoreManifest
    ledger: Ledger
    stage: DecodeVideos
    part_mb: int
    max_failed_fraction: float
    go_on: str = dataclasses.field(default="run the same command to resume", kw_only=True)
    left_out: LeftOut = dataclasses.field(default=NOTHING, kw_only=True)


class Chain(Protocol):
    """Chain of `attn.engine.dataflow` with all other arguments bound."""

    def __call__(
        self, videos: Sequence[Video], *, stage: DecodeVideos, writers: Sequence[Any], isolated: bool
    ) -> Generator[int, None, None]: ...


def fill_locked(plan: StorePlan, placement: Placement, chain: Chain, *, overwrite: bool) -> int:
    """Fill a store that no other run may fill meanwhile, and return the exit code.

    Args:
        plan: plan of the run.
        placement: resources of the run.
        chain: chain that processes the videos.
        overwrite: remove the existing rows first.
    """
    with plan.ledger.locked():
        if overwrite:
            plan.ledger.clear()
        plan.ledger.begin(plan.manifest)
        try:
            return fill_store(plan, placement, chain)
        except KeyboardInterrupt:
            log.warning("interrupted; %s", plan.go_on)
            return EXIT_INTERRUPTED


def fill_store(plan: StorePlan, placement: Placement, chain: Chain) -> int:
    """Fill a store whose ledger exists and return the exit code."""
    return _Run(plan, placement, chain).finish_store()


class _Run:
    """Single run of a plan."""

    def __init__(self, plan: StorePlan, placement: Placement, chain: Chain):
        self.plan, self.placement, self.chain = plan, placement, chain
        self.started_s = time.monotonic()
        self.done: dict[str, int] = {}
        self.failed: set[str] = set()
        self.rate: float | None = None
        self.earlier_attempts = max((f.attempt for f in self._failures().values()), default=0)

    def finish_store(self) -> int:
        """Run passes until all videos are finished, then write `_SUCCESS.json`; return the exit code."""
        left = self._left()
        log.info("%d videos already done; %s", len(self.plan.videos) - len(left), self.placement)
        try:
            left = self._passes(left)
            with _storage_errors_stop_the_run():
                self._give_up(left)
                self._finish()
        except (ComputeError, RayError) as error:
            return self._stopped(_reason(error))
        return self._verdict()

    def _passes(self, left: list[Video]) -> list[Video]:
        """Run the passes and return the videos that remain unfinished."""
        passes = idle = 0
        while left and passes < PASSES:
            if passes:
                log.warning("%d videos were not finished; retrying them one by one", len(left))
            try:
                self._pass(passes + 1, left)
                passes += 1
            except WriterDiedError:
                idle += 1
            before = len(left)
            with _storage_errors_stop_the_run():
                left = self._left()
            if len(left) < before:
                idle = 0
            elif idle == PASSES:
                raise ComputeError("the writers keep dying before they write anything; see Ray's logs")
        return left

    def _stopped(self, why: str) -> int:
        log.error("%s. Finished videos are saved; %s.", why.rstrip("."), self.plan.go_on)
        return EXIT_ERROR

    def _left(self) -> list[Video]:
        """Videos that are neither done nor failed according to the parts."""
        self.done = self.plan.ledger.done(self.plan.manifest)
        return [video for video in self.plan.videos if video.video_id not in self.done.keys() | self.failed]

    def _pass(self, number: int, videos: Sequence[Video]) -> None:
        writers = self._start_writers()
        stage = dataclasses.replace(self.plan.stage, attempt=self.earlier_attempts + number, last_try=number == PASSES)
        chain = self.chain(videos, stage=stage, writers=writers, isolated=number > 1)
        progress = self._progress(len(videos), writers)
        try:
            with progress, contextlib.closing(chain):
                for frames in chain:
                    progress.add(frames)
        finally:
            written, problem, all_live = self._close(writers)
            progress.tell(lambda: written)
            self.rate = self.rate or progress.steady_rate
        if problem:
            raise ComputeError(problem)
        if not all_live:
            raise WriterDiedError

    def _start_writers(self) -> Sequence[Any]:
        plan = self.plan
        if not self.placement.writers:
            return [StoreWriter(plan.ledger.url, plan.manifest.schema, part_bytes=plan.part_mb * 2**20)]
        try:
            return start_writers(
                self.placement.writers, plan.ledger.url, plan.manifest, part_bytes=plan.part_mb * 2**20
            )
        except RayActorError as error:
            if error.actor_init_failed:
                raise
            log.warning(WRITER_LOST)
            raise WriterDiedError from error

    def _close(self, writers: Sequence[Any]) -> tuple[Written, str | None, bool]:
        """Close the parts of living writers, collect failed videos, and stop the writers.

        Returns:
            Counts of written rows, the error of a writer that could not close its part or None, and whether all writers
            were alive.
        """
        total, problem, all_live = Written(), None, True
        # All writers close their parts at the same time; each records its failed videos before it names them.
        asked = [[_ask(method) for method in (writer.flush, writer.failed, writer.counts)] for writer in writers]
        for writer, answers in zip(writers, asked, strict=True):
            try:
                _, failed, written = [answer() for answer in answers]
                self.failed |= failed
                total = total + written
            except RayActorError:
                log.warning(WRITER_LOST)
                all_live = False
            except Exception as error:
                problem = _reason(error)
            if self.placement.writers:
                ray.kill(writer)
        return total, problem, all_live

    def _progress(self, left: int, writers: Sequence[Any]) -> Progress:
        def written() -> Written:
            asked = [_ask(writer.counts) for writer in writers]
            return sum((answer() for answer in asked), Written())

        total, failed = len(self.plan.videos), len(self.failed)
        return Progress(self.plan.ledger, done=total - left - failed, failed=failed, total=total, written=written)

    def _give_up(self, videos: Sequence[Video]) -> None:
        """Record videos that no pass has finished as failed."""
        if not videos:
            return
        writer = StoreWriter(self.plan.ledger.url, self.plan.manifest.schema, part_bytes=1)
        for video in videos:
            message = f"its worker died in each of {PASSES} attempts; see Ray's logs"
            attempt = self.earlier_attempts + PASSES
            writer.fail(Failure(video.video_id, video.url, "decode", "WorkerDied", message, attempt))
        writer.flush()
        self.failed |= {video.video_id for video in videos}

    def _finish(self) -> None:
        done, seconds = self.done, time.monotonic() - self.started_s
        rows = sum(done.values())
        summary = {
            "fingerprint": self.plan.manifest.fingerprint,
            "videos": len(done),
            "rows": rows,
            "failed": len(self.failed),
            "failed_videos": sorted(self.failed),
            "left_out": self.plan.left_out.record,
            "seconds": round(seconds, 1),
            "frames_per_s": self.rate and round(self.rate, 1),
        }
        self.plan.ledger.finish(summary)
        found = (self.plan.ledger.url, len(done), rows, len(self.failed), seconds)
        log.info("%s: %d videos, %d rows, %d failed, %.0f s", *found)

    def _verdict(self) -> int:
        """Log the failures and return the exit code: 3 if there are too many."""
        reasons: dict[str, Failure] = {}
        with contextlib.suppress(UsageError):  # the store is finished even if it cannot be read now
            reasons = self._failures()
        for video_id in sorted(self.failed)[:10]:
            log.warning("failed: %s: %s", video_id, reasons[video_id].message if video_id in reasons else "no record")
        if len(self.failed) > 10:
            log.warning("%d more videos failed; see %s/failures/", len(self.failed) - 10, self.plan.ledger.url)
        videos, fraction = len(self.plan.videos), self.plan.max_failed_fraction
        if len(self.failed) > allowed_failures(fraction, videos):
            summary = told_failures(len(self.failed), videos, fraction)
            log.error("%s. Replace or remove them, or raise --max-failed-fraction.", summary)
            return EXIT_FAILED_VIDEOS
        return 0

    def _failures(self) -> dict[str, Failure]:
        ledger = self.plan.ledger
        with storage_errors(ledger.url):
            return retried(lambda: read_failures(ledger.folder), ledger.url)


@contextlib.contextmanager
def _storage_errors_stop_the_run() -> Iterator[None]:
    """Convert UsageError to ComputeError: a storage error after work has begun is not a user error."""
    try:
        yield
    except UsageError as error:
        raise ComputeError(str(error)) from error


def _reason(error: Exception) -> str:
    """Format an error as one line; for task errors, the original error on the other machine."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    text = " ".join(str(cause).split())
    return text if isinstance(cause, ComputeError | UsageError) else f"{type(cause).__name__}: {text}"


def _ask(method: Any) -> Callable[[], Any]:
    """Ask a writer, and return a function that waits for its answer. A writer in this process is asked by the wait."""
    return functools.partial(ray.get, method.remote()) if hasattr(method, "remote") else method
