"""Runs the steps of a plan on one Ray cluster: what is finished stays, what is independent runs side by side.

A step is a task in a process of its own, which calls the job as its script would. One that fails, or kills its process
twice, takes down only the steps that need it. A finished step leaves a note with a digest of its options, its lists and
the steps before it; it is passed over as long as nothing of that has changed.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from attn.engine.cli import EXIT_UNTRAINED
from attn.engine.clock import clock
from attn.engine.placement import cluster_totals
from attn.engine.reproduction.step import FRAMES, Step
from attn.engine.session import train_in_place
from attn.errors import UsageError
from attn.storage.contents import SUCCESS
from attn.storage.filesystem import is_local, join, open_filesystem, read_text, write_atomic

log = logging.getLogger(__name__)

HEARTBEAT_S = 60.0
MOST_ATTEMPTS = 2
MESSAGE_CHARS = 240
# Each takes all CPUs of a cluster without GPUs: two at a time could leave none for the decoding of either.
ONE_AT_A_TIME = {"adapt_cnn", "decode_frames", "precompute"}
TRAININGS = ("train_cnn", "train_energynet")
STORES = ("precompute",)  # a training completes a store of frames itself
LISTS = ("lists", "split", "train_split", "calibrate_lists")
# What a step may take, not what it makes.
RESOURCES = {"actors", "cpus_per_worker", "max_failed_fraction", "allow_untrained", "mix_cache"}
# Files from outside that decide what is made.
INPUTS = ("weights", "word_vectors", "corpus")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of the steps, by name.

    Attributes:
        seconds: of every finished one, in this run or an earlier one.
        failed: and why.
    """

    seconds: dict[str, float]
    failed: dict[str, str]


def run_steps(
    steps: Sequence[Step], out: str, *, side_by_side: int, jobs: Mapping[str, Callable[[Any], int]] | None = None
) -> Outcome:
    """Runs what is not finished, in the order of the plan as far as its needs allow.

    Args:
        steps: each after those it needs.
        out: folder of all results; notes of what is finished lie in `<out>/done/`, logs in `<out>/logs/`.
        side_by_side: steps at the same time.
        jobs: others than those of this program, by name.
    """
    return _Runner(steps, out, side_by_side, jobs or {}).run()


class _Runner:
    def __init__(self, steps: Sequence[Step], out: str, side_by_side: int, jobs: Mapping[str, Callable[[Any], int]]):
        self.steps, self.out, self.side_by_side, self.jobs = steps, out, side_by_side, jobs
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, str] = {}
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
        return Outcome(self.seconds, self.failed)

    def _has_room(self, step: Step) -> bool:
        jobs = {running.job for running, _ in self.running.values()}
        alone = step.job in ONE_AT_A_TIME and bool(jobs & ONE_AT_A_TIME)
        return len(self.running) < self.side_by_side and not alone

    def _finished_before(self, step: Step) -> bool:
        self.digests[step.name] = self._digest(step)
        if not self.seconds.keys() >= set(_decisive_needs(step)):
            return False
        fs, path = open_filesystem(self._note(step))
        with contextlib.suppress(ValueError, KeyError):  # a note that is damaged says nothing
            note = json.loads(read_text(fs, path)) if fs.exists(path) else {}
            if note and note["digest"] == self.digests[step.name] and _stands(step):
                self.seconds[step.name] = note["seconds"]
                return True
        return False

    def _digest(self, step: Step) -> str:
        """Changes with whatever a step depends on."""
        lists = [getattr(step.options, name, None) or () for name in LISTS]
        urls = [url for found in lists for url in ([found] if isinstance(found, str) else found)]
        texts = [read_text(*open_filesystem(url)) for url in urls]
        made = {key: value for key, value in _plain(step).items() if key not in RESOURCES}
        known = [made, [self.digests[need] for need in _decisive_needs(step)], texts, self._inputs(step)]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()

    def _inputs(self, step: Step) -> list[str]:
        """Versions of the files that no step of the plan makes."""
        made = {one.options.out for one in self.steps}
        urls = [getattr(step.options, name, None) for name in INPUTS]
        return [version(url) for url in urls if url is not None and url not in made]

    def _blocked(self, step: Step) -> bool:
        causes = [need for need in step.needs if need in self.failed]
        if causes:
            self.failed[step.name] = f"needs {causes[0]}"
        return bool(causes)

    def _start(self, step: Step) -> None:
        log.info("%s: started", step.name)
        log_url = join(self.out, "logs", f"{step.name.replace('/', '.')}.log")
        # Not Ray's own retries: a process that is killed for its memory would be started again without end.
        task: Any = ray.remote(num_cpus=0, num_gpus=_gpus(step), max_retries=0)(run_step)
        self.attempts[step.name] += 1
        started = task.remote(step, log_url, self.jobs.get(step.job))
        self.running[started] = (step, time.monotonic())

    def _wait(self) -> None:
        done, _ = ray.wait(list(self.running), num_returns=1, timeout=HEARTBEAT_S)
        for task in done:
            step, started_s = self.running.pop(task)
            (problem, died), seconds = _result(task), time.monotonic() - started_s
            if problem is None:
                self._finish(step, seconds)
            elif died and self.attempts[step.name] < MOST_ATTEMPTS:
                log.warning("%s: %s; once more", step.name, problem)
                self._start(step)
            else:
                self.failed[step.name] = problem
                log.error("%s: %s (%s/logs)", step.name, problem, self.out)
        if not done or time.monotonic() - self.told_s > HEARTBEAT_S:
            self.told_s = time.monotonic()
            log.info("running: %s", ", ".join(step.name for step, _ in self.running.values()) or "nothing")

    def _finish(self, step: Step, seconds: float) -> None:
        self.seconds[step.name] = round(seconds, 1)
        note = {"digest": self.digests[step.name], "options": _plain(step), "seconds": self.seconds[step.name]}
        write_atomic(*open_filesystem(self._note(step)), json.dumps(note, indent=1, ensure_ascii=False).encode())
        left = len(self.steps) - len(self.seconds) - len(self.failed)
        log.info("%s: done in %s; %d steps left", step.name, clock(seconds), left)

    def _note(self, step: Step) -> str:
        return join(self.out, "done", f"{step.name.replace('/', '.')}.json")


def _gpus(step: Step) -> int:
    """GPUs of a step: one for a training of one worker, which runs in the process of the step."""
    trains = step.job in TRAININGS and step.options.workers == 1 and step.options.gpu is not False
    return int(trains and cluster_totals()["GPU"] > 0)


def run_step(step: Step, log_url: str, function: Callable[[Any], int] | None = None) -> str | None:
    """Calls a job in this process; why it failed, None for a good end.

    Args:
        step: what to do.
        log_url: gets what the job logs, line by line where it is local, else at the end.
        function: the job, where it is not one of this program.
    """
    train_in_place()
    with _logged(log_url):
        try:
            code = (function or job(step.job))(step.options)
        except UsageError as error:
            logging.getLogger("attn").error("%s", error)
            return str(error)
        why = " and has learnt nothing; its log says why" if code == EXIT_UNTRAINED else ""
        return None if code == 0 else f"{step.job} ended with exit code {code}{why}"


def job(name: str) -> Any:
    """The function behind a job's script."""
    from attn.engine.adapt import adapt_cnn
    from attn.engine.decode_frames import decode_frames
    from attn.engine.evaluate import evaluate
    from attn.engine.precompute import precompute
    from attn.engine.training.cnn import train_cnn
    from attn.engine.training.energynet import train_energynet

    return {
        "adapt_cnn": adapt_cnn,
        "decode_frames": decode_frames,
        "evaluate": evaluate,
        "precompute": precompute,
        "train_cnn": train_cnn,
        "train_energynet": train_energynet,
    }[name]


@contextlib.contextmanager
def _logged(url: str) -> Iterator[None]:
    fs, path = open_filesystem(url)
    with tempfile.TemporaryDirectory() as folder:
        if is_local(fs):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        target = path if is_local(fs) else str(Path(folder) / "log")
        handler = logging.FileHandler(target)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger = logging.getLogger("attn")
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            handler.close()
            if not is_local(fs):
                write_atomic(fs, path, Path(target).read_bytes())


def _result(task: Any) -> tuple[str | None, bool]:
    """Why a step failed, if it did, and whether its process died of it."""
    try:
        problem: str | None = ray.get(task)
    except RayTaskError as error:
        return f"{type(error.cause).__name__}: {in_short(str(error.cause))}", False
    except RayError as error:
        return f"its process died: {in_short(str(error))}", True
    return problem, False


def in_short(message: str) -> str:
    """One line of an error that may carry a whole traceback of another process: how it begins, and its last line."""
    lines = [" ".join(line.split()) for line in re.sub(r"\x1b\[[0-9;]*m", "", message).splitlines() if line.strip()]
    if not lines:
        return "no message"
    ends = lines[:1] if len(lines) == 1 else [lines[0], lines[-1]]
    return " … ".join(shorten(line, MESSAGE_CHARS, placeholder=" …") for line in ends)


def _decisive_needs(step: Step) -> list[str]:
    """Without the frame store, which only grows: whose frames it holds besides makes no difference."""
    return [need for need in step.needs if need != FRAMES]


def version(url: str) -> str:
    """Size and time of change of a file, as its storage tells them; empty where there is none."""
    fs, path = open_filesystem(url)
    try:
        found: dict[str, Any] = fs.info(path)
    except OSError:
        return ""
    return f"{found.get('size')} {found.get('mtime') or found.get('ETag') or found.get('LastModified')}"


def _stands(step: Step) -> bool:
    """Whether what a finished step made is still there; a store that was repaired since is not finished any more."""
    url = step.options.out
    fs, path = open_filesystem(join(url, SUCCESS) if step.job in STORES else url)
    return bool(fs.exists(path))


def _plain(step: Step) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(step.options)))
