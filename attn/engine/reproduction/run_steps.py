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
from attn.engine.session import begin_step, works_in_place
from attn.errors import UsageError
from attn.storage.contents import SUCCESS
from attn.storage.filesystem import is_local, join, open_filesystem, read_text, write_atomic

log = logging.getLogger(__name__)

HEARTBEAT_S = 60.0
MOST_ATTEMPTS = 2
MESSAGE_CHARS = 240
# Each takes all CPUs of a cluster without GPUs: two at a time could leave no CPU for decoding.
ONE_AT_A_TIME = {"adapt_cnn", "decode_frames", "precompute"}
TRAININGS = ("train_cnn", "train_energynet")
STORES = ("precompute",)  # not decode_frames: a training completes the frame store itself
LISTS = ("lists", "split", "train_split", "calibrate_lists")
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
    """

    seconds: dict[str, float]
    failed: dict[str, str]


def run_steps(
    steps: Sequence[Step], out: str, *, side_by_side: int, jobs: Mapping[str, Callable[[Any], int]] | None = None
) -> Outcome:
    """Run all unfinished steps, in the order of the plan as far as their needs permit.

    Args:
        steps: steps of the plan, each after the steps that it needs.
        out: URL of the output folder; records of finished steps are stored in `<out>/done/`, logs in `<out>/logs/`.
        side_by_side: maximum number of steps in parallel.
        jobs: further jobs by name; they override those of this package.
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
        with contextlib.suppress(ValueError, KeyError):  # a damaged record: the step runs again
            note = json.loads(read_text(fs, path)) if fs.exists(path) else {}
            if note and note["digest"] == self.digests[step.name] and _stands(step):
                self.seconds[step.name] = note["seconds"]
                return True
        return False

    def _digest(self, step: Step) -> str:
        """Digest of all inputs of a step."""
        lists = [getattr(step.options, name, None) or () for name in LISTS]
        urls = [url for found in lists for url in ([found] if isinstance(found, str) else found)]
        texts = [read_text(*open_filesystem(url)) for url in urls]
        made = {key: value for key, value in _plain(step).items() if key not in RESOURCES}
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
        return bool(causes)

    def _start(self, step: Step) -> None:
        log.info("%s: started", step.name)
        log_url = join(self.out, "logs", f"{step.name.replace('/', '.')}.log")
        # Ray's own retries are off: Ray would restart a process that runs out of memory again and again.
        task: Any = ray.remote(num_cpus=0, num_gpus=_gpus(step), max_retries=0)(run_step)
        self.attempts[step.name] += 1
        started = task.remote(step, log_url, self.jobs.get(step.job), in_place=_in_place(step))
        self.running[started] = (step, time.monotonic())

    def _wait(self) -> None:
        done, _ = ray.wait(list(self.running), num_returns=1, timeout=HEARTBEAT_S)
        for task in done:
            step, started_s = self.running.pop(task)
            (problem, died), seconds = _result(task), time.monotonic() - started_s
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
        note = {"digest": self.digests[step.name], "options": _plain(step), "seconds": self.seconds[step.name]}
        write_atomic(*open_filesystem(self._note(step)), json.dumps(note, indent=1, ensure_ascii=False).encode())
        left = len(self.steps) - len(self.seconds) - len(self.failed)
        log.info("%s: done in %s; %d steps left", step.name, clock(seconds), left)

    def _note(self, step: Step) -> str:
        return join(self.out, "done", f"{step.name.replace('/', '.')}.json")


def _in_place(step: Step) -> bool:
    """Whether a step does its work in its own process, if that is small: not on a cluster.

    On a machine with GPUs only trainings do: the process of a step sees a GPU only if it is given one.
    """
    return works_in_place() and (_trains_alone(step) or not cluster_totals()["GPU"])


def _gpus(step: Step) -> int:
    """Number of GPUs that the process of a step needs."""
    uses_gpu = _trains_alone(step) and works_in_place() and step.options.gpu is not False
    return int(uses_gpu and cluster_totals()["GPU"] > 0)


def _trains_alone(step: Step) -> bool:
    return step.job in TRAININGS and step.options.workers == 1


def run_step(
    step: Step, log_url: str, function: Callable[[Any], int] | None = None, *, in_place: bool = False
) -> str | None:
    """Run a job in this process.

    Args:
        step: step to run.
        log_url: URL of the log, written line by line on a local disk, at the end on S3.
        function: the job's function; default: the one of the job's name.
        in_place: run a small job, or a training of one worker, without further processes.

    Returns:
        The reason of a failure; None if the job succeeded.
    """
    begin_step(in_place=in_place)
    with _logged(log_url):
        try:
            code = (function or job(step.job))(step.options)
        except UsageError as error:
            logging.getLogger("attn").error("%s", error)
            return str(error)
        why = ": the training learnt nothing, see its log" if code == EXIT_UNTRAINED else ""
        return None if code == 0 else f"{step.job} ended with exit code {code}{why}"


def job(name: str) -> Any:
    """Return the function of a job by the name of its script."""
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
    """Return the reason of a failure, None for success; and whether the step's process died."""
    try:
        problem: str | None = ray.get(task)
    except RayTaskError as error:
        return f"{type(error.cause).__name__}: {in_short(str(error.cause))}", False
    except RayError as error:
        return f"its process died: {in_short(str(error))}", True
    return problem, False


def in_short(message: str) -> str:
    """Shorten an error message, which may contain the traceback of another process, to its first and last line."""
    lines = [" ".join(line.split()) for line in re.sub(r"\x1b\[[0-9;]*m", "", message).splitlines() if line.strip()]
    if not lines:
        return "no message"
    ends = lines[:1] if len(lines) == 1 else [lines[0], lines[-1]]
    return " … ".join(shorten(line, MESSAGE_CHARS, placeholder=" …") for line in ends)


def _decisive_needs(step: Step) -> list[str]:
    """Needs that enter the digest: all but the frame store, because further frames in it do not change the output."""
    return [need for need in step.needs if need != FRAMES]


def version(url: str) -> str:
    """Return size and modification time (or ETag) of a file; empty if the file does not exist."""
    fs, path = open_filesystem(url)
    try:
        found: dict[str, Any] = fs.info(path)
    except OSError:
        return ""
    return f"{found.get('size')} {found.get('mtime') or found.get('ETag') or found.get('LastModified')}"


def _stands(step: Step) -> bool:
    """Return whether the output of a finished step still exists and, for a store, is still marked as complete.

    A repair of a store removes its mark.
    """
    url = step.options.out
    fs, path = open_filesystem(join(url, SUCCESS) if step.job in STORES else url)
    return bool(fs.exists(path))


def _plain(step: Step) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(step.options)))
