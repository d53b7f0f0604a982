"""A step of a plan as a Ray task: its place, its call, its log and its result."""

import contextlib
import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from attn.engine.exit_codes import EXIT_UNTRAINED
from attn.engine.placement import cluster_totals
from attn.engine.session import begin_step, works_in_place
from attn.engine.step import Step
from attn.errors import UsageError
from attn.storage.location import Location

TRAININGS = ("train_cnn", "train_clip_cnn", "train_energynet", "train_soft_attention", "train_tsrnet")
MESSAGE_CHARS = 240

Job = Callable[[Any], int]
FunctionOf = Callable[[str], Job]


def in_place(step: Step) -> bool:
    """Whether a step does its work in its own process, if that is small: not on a cluster.

    On a machine with GPUs only trainings do: the process of a step sees a GPU only if it is given one.
    """
    return works_in_place() and (_trains_alone(step) or not cluster_totals()["GPU"])


def gpus_of(step: Step) -> int:
    """Number of GPUs that the process of a step needs."""
    uses_gpu = _trains_alone(step) and works_in_place() and step.options.gpu is not False
    return int(uses_gpu and cluster_totals()["GPU"] > 0)


def _trains_alone(step: Step) -> bool:
    return step.job in TRAININGS and step.options.workers == 1


def run_step(step: Step, log_url: str, function_of: FunctionOf, *, in_place: bool = False) -> str | None:
    """Run a job in this process.

    Args:
        step: step to run.
        log_url: URL of the log, written line by line on a local disk, at the end on S3.
        function_of: function that returns the function of a job by name; called here, to load only what the job needs.
        in_place: run a small job, or a training of one worker, without further processes.

    Returns:
        The reason of a failure; None if the job succeeded.
    """
    begin_step(in_place=in_place)
    with _logged(log_url):
        try:
            code = function_of(step.job)(step.options)
        except UsageError as error:
            logging.getLogger("attn").error("%s", error)
            return str(error)
        why = ": the training learnt nothing, see its log" if code == EXIT_UNTRAINED else ""
        return None if code == 0 else f"{step.job} ended with exit code {code}{why}"


@contextlib.contextmanager
def _logged(url: str) -> Iterator[None]:
    file = Location.at(url)
    with tempfile.TemporaryDirectory() as folder:
        if file.is_local:
            Path(file.path).parent.mkdir(parents=True, exist_ok=True)
        target = file.path if file.is_local else str(Path(folder) / "log")
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
            if not file.is_local:
                file.write_atomic(Path(target).read_bytes())


def result_of(task: Any) -> tuple[str | None, bool]:
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
