"""Runner of a plan's steps on one Ray cluster: skips finished steps and runs independent steps in parallel.

Each step is a Ray task in its own process, which calls the job as its script does. If a step fails, or its process dies
twice, only the steps that need it are skipped. A finished step leaves a record with a digest of its options, its lists
and the steps that it needs; it is skipped as long as the digest does not change.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import ray

from attn.durations import clock
from attn.engine.step import FRAMES, Step
from attn.engine.step_task import FunctionOf, gpus_of, in_place, result_of, run_step
from attn.storage.contents import SUCCESS
from attn.storage.filesystem import join
from attn.storage.listing import glob_files
from attn.storage.location import Location

log = logging.getLogger(__name__)

HEARTBEAT_S = 60.0
MOST_ATTEMPTS = 2
# Each takes all CPUs of a cluster without GPUs: two at a time could leave no CPU for decoding.
ONE_AT_A_TIME = {"adapt_cnn", "decode_frames", "precompute", "precompute_flow"}
STORES = ("precompute", "precompute_flow")  # not decode_frames: a training completes the frame store itself
LISTS = ("lists", "split", "train_split", "calibrate_lists", "labels", "trimmed_split", "class_map")
# Options that limit or allow something but do not change the output.
RESOURCES = {"actors", "cpus_per_worker", "max_failed_fraction", "allow_untrained", "mix_cache"}
# Input files that change the output.
INPUTS = ("weights", "word_vectors", "corpus")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Results of the steps, by name.

    Attributes:
        seconds: duration of each finished step, in this run or an earlier one.
        failed: reason for each failed or skipped step.
        skipped: steps that were not run because a step that they need has failed.
    """

    seconds: dict[str, float]
    failed: dict[str, str]
    skipped: frozenset[str] = frozenset()


def run_steps(steps: Sequence[Step], out: str, function_of: FunctionOf, *, side_by_side: int) -> Outcome:
    """Run all unfinished steps, in the order of the plan as far as their needs permit.

    Args:
        steps: steps of the plan, each after the steps that it needs.
        out: URL of the output folder; records of finished steps are stored in `<out>/done/`, logs in `<out>/logs/`.
        function_of: function that returns the function of a job by name.
        side_by_side: maximum number of steps in parallel.
    """
    return _Runner(steps, out, function_of, side_by_side).run()


class _Runner:
    def __init__(self, steps: Sequence[Step], out: str, function_of: FunctionOf, side_by_side: int):
        self.steps, self.out, self.function_of, self.side_by_side = steps, out, function_of, side_by_side
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self.skipped: set[str] = set()
        self.digests: dict[str, str] = {}
        self.attempts: Counter[str] = Counter()
        self.running: dict[Any, tuple[Step, float]] = {}
        self.told_s = time.monotonic()

    def run(self) -> Outcome:
        waiting = [step for step in self.steps if not self._finished_before(step)]
        log.info("%d steps, %d of them finished before", len(self.steps), len(self.seconds))
        while waiting or self.running:
            waiting = [step for step in waiting if not self._blocked(step)]
            for step in [step for step in waiting if self.seconds.keys() >= set(step.needs)]:
                if self._has_room(step):
                    waiting.remove(step)
                    self._start(step)
            if self.running:
                self._wait()
        return Outcome(self.seconds, self.failed, frozenset(self.skipped))

    def _has_room(self, step: Step) -> bool:
        jobs = {running.job for running, _ in self.running.values()}
        alone = step.job in ONE_AT_A_TIME and bool(jobs & ONE_AT_A_TIME)
        return len(self.running) < self.side_by_side and not alone

    def _finished_before(self, step: Step) -> bool:
        self.digests[step.name] = self._digest(step)
        if not self.seconds.keys() >= set(_decisive_needs(step)):
            return False
        note_file = Location.at(self._note(step))
        with contextlib.suppress(ValueError, KeyError):  # a damaged record: the step runs again
            note = json.loads(note_file.read_text()) if note_file.exists() else {}
            if note and note["digest"] == self.digests[step.name] and _stands(step):
                self.seconds[step.name] = note["seconds"]
                return True
        return False

    def _digest(self, step: Step) -> str:
        """Digest of all inputs of a step."""
        lists = [getattr(step.options, name, None) or () for name in LISTS]
        urls = [url for found in lists for url in ([found] if isinstance(found, str) else found)]
        texts = [_content(url) for url in urls]
        made = {key: value for key, value in recorded_options(step).items() if key not in RESOURCES}
        known = [made, [self.digests[need] for need in _decisive_needs(step)], texts, self._inputs(step)]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()

    def _inputs(self, step: Step) -> list[str]:
        """Versions of the step's input files, except those that the plan itself produces."""
        made = {one.options.out for one in self.steps}
        urls = [getattr(step.options, name, None) for name in INPUTS]
        return [version(url) for url in urls if url is not None and url not in made]

    def _blocked(self, step: Step) -> bool:
        causes = [need for need in step.needs if need in self.failed]
        if causes:
            self.failed[step.name] = f"needs {causes[0]}"
            self.skipped.add(step.name)
        return bool(causes)

    def _start(self, step: Step) -> None:
        log.info("%s: started", step.name)
        log_url = join(self.out, "logs", f"{step.name.replace('/', '.')}.log")
        # Ray's own retries are off: Ray would restart a process that runs out of memory again and again.
        task: Any = ray.remote(num_cpus=0, num_gpus=gpus_of(step), max_retries=0)(run_step)
        self.attempts[step.name] += 1
        started = task.remote(step, log_url, self.function_of, in_place=in_place(step))
        self.running[started] = (step, time.monotonic())

    def _wait(self) -> None:
        done, _ = ray.wait(list(self.running), num_returns=1, timeout=HEARTBEAT_S)
        for task in done:
            step, started_s = self.running.pop(task)
            (problem, died), seconds = result_of(task), time.monotonic() - started_s
            if problem is None:
                self._finish(step, seconds)
            elif died and self.attempts[step.name] < MOST_ATTEMPTS:
                log.warning("%s: %s; retrying", step.name, problem)
                self._start(step)
            else:
                self.failed[step.name] = problem
                log.error("%s: %s (%s/logs)", step.name, problem, self.out)
        if not done or time.monotonic() - self.told_s > HEARTBEAT_S:
            self.told_s = time.monotonic()
            log.info("running: %s", ", ".join(step.name for step, _ in self.running.values()) or "nothing")

    def _finish(self, step: Step, seconds: float) -> None:
        self.seconds[step.name] = round(seconds, 1)
        note = {
            "digest": self.digests[step.name],
            "options": recorded_options(step),
            "seconds": self.seconds[step.name],
        }
        Location.at(self._note(step)).write_atomic(json.dumps(note, indent=1, ensure_ascii=False).encode())
        left = len(self.steps) - len(self.seconds) - len(self.failed)
        log.info("%s: done in %s; %d steps left", step.name, clock(seconds), left)

    def _note(self, step: Step) -> str:
        return join(self.out, "done", f"{step.name.replace('/', '.')}.json")


def _content(url: str) -> str:
    """Text of a list; for a folder of lists, or a table in Parquet, a digest instead."""
    place = Location.at(url)
    with place.errors():
        files = sorted(file.path for file in glob_files(place))
        data = [place.at_path(path).read_bytes() for path in files or [place.path]]
    if len(data) == 1:
        with contextlib.suppress(UnicodeDecodeError):
            return data[0].decode("utf-8-sig")
    return hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in data)).hexdigest()


def _decisive_needs(step: Step) -> list[str]:
    """Needs that enter the digest: all but the frame store, because further frames in it do not change the output."""
    return [need for need in step.needs if need != FRAMES]


def version(url: str) -> str:
    """Return size and modification time (or ETag) of a file; empty if the file does not exist."""
    file = Location.at(url)
    try:
        found: dict[str, Any] = file.fs.info(file.path)
    except OSError:
        return ""
    return f"{found.get('size')} {found.get('mtime') or found.get('ETag') or found.get('LastModified')}"


def _stands(step: Step) -> bool:
    """Return whether the output of a finished step still exists and, for a store, is still marked as complete.

    A repair of a store removes its mark.
    """
    url = step.options.out
    return Location.at(join(url, SUCCESS) if step.job in STORES else url).exists()


def recorded_options(step: Step) -> Any:
    """Options in JSON types, without those that were added later and have their default.

    Steps that an earlier version finished are then recognised.
    """
    later = [field for field in dataclasses.fields(step.options) if field.name in getattr(step.options, "LATER", ())]
    usual = {field.name: _default_of(field) for field in later}
    given = dataclasses.asdict(step.options).items()
    return json.loads(json.dumps({name: value for name, value in given if (name, value) not in usual.items()}))


def _default_of(field: dataclasses.Field[Any]) -> Any:
    factory = field.default_factory
    return field.default if factory is dataclasses.MISSING else factory()
