"""The real job over a folder of hostile files, and what its store must look like afterwards."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from guarded import Outcome, order_problems

from attn.errors import FleetingError, VideoError
from attn.video.file_names import video_id_of
from attn.video.sample import Fps, Sampling

JOB = Path(__file__).resolve().parents[2] / "jobs" / "precompute.py"
TENSORS = ("maps", "logits")
VIDEO_ERRORS = {error.__name__ for error in (VideoError, FleetingError)}
EXIT_HUNG = -1


class Ended(NamedTuple):
    """How a job ended; EXIT_HUNG if it had to be killed."""

    code: int
    seconds: float
    log: str


def save_small_cnn(path: Path) -> Path:
    """A checkpoint with random weights, for images of 32 pixels."""
    import torch

    from attn.models.backbone import build_backbone
    from attn.models.checkpoint import Cnn, save_checkpoint

    torch.manual_seed(0)
    save_checkpoint(str(path), Cnn(build_backbone("small_cnn", 3).eval(), "small_cnn", ("Wave", "Kick", "Hug"), 32))
    return path


def precompute(
    videos: Path, out: Path, weights: Path, sampling: Sampling, *, decode_timeout_s: float, timeout_s: float
) -> Ended:
    """Runs the script on a Ray of its own."""
    rate = ("--fps", sampling.rate) if isinstance(sampling, Fps) else ("--stride", sampling.step)
    flags = (f"--videos={videos}", f"--out={out}", f"--weights={weights}", *rate)
    command = [sys.executable, JOB, *flags, "--decode-timeout-s", decode_timeout_s]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    started_s = time.monotonic()
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=out.parent,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            _, log = process.communicate(timeout=timeout_s)
            code = process.returncode
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
                process.communicate(timeout=30)
                os.killpg(process.pid, signal.SIGKILL)
            log, code = "", EXIT_HUNG
    return Ended(code, time.monotonic() - started_s, log)


def stored_outcomes(store: Path, names: list[str]) -> tuple[dict[str, Outcome], list[str]]:
    """By file name, what the store says of each; and what is wrong with the store as a whole."""
    problems = [] if (store / "_SUCCESS.json").exists() else ["the store is not finished"]
    found: dict[str, list[Outcome]] = {}
    for part in sorted(store.glob("part-*.parquet")):
        for video_id, rows in _videos(pq.read_table(part)):
            found.setdefault(video_id, []).append(_check_rows(rows))
    for file in (store / "failures").glob("*.parquet"):
        for row in pq.read_table(file).to_pylist():
            found.setdefault(row["video_id"], []).append(_check_failure(row))
    by_id = {video_id_of(name): name for name in names}
    if strangers := found.keys() - by_id.keys():
        problems.append(f"videos that were not given: {sorted(strangers)[:3]}")
    return {name: _only(found.get(video_id, [])) for video_id, name in by_id.items()}, problems


def _only(outcomes: list[Outcome]) -> Outcome:
    if not outcomes:
        return Outcome("nowhere", problems=["neither rows nor a failure"])
    if len(outcomes) > 1:
        outcomes[0].problems.append(f"more than once: {dict(Counter(one.outcome for one in outcomes))}")
    return outcomes[0]


def _videos(part: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each; a video whose rows lie apart comes more than once."""
    ids = part["video_id"].combine_chunks().dictionary_encode()
    codes = ids.indices.to_numpy()
    cuts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    for start, stop in itertools.pairwise(cuts):
        yield part["video_id"][start].as_py(), part.slice(start, stop - start)


def _check_rows(rows: pa.Table) -> Outcome:
    frame, time_s = rows["frame"].to_numpy(), rows["time_s"].to_numpy()
    problems = order_problems(np.append(-1, frame), np.append(-np.inf, time_s))
    if set(rows["n_frames"].to_pylist()) != {len(rows)}:
        problems.append(f"{len(rows)} rows, n_frames {set(rows['n_frames'].to_pylist())}")
    if len(set(rows["truncated"].to_pylist())) != 1:
        problems.append("truncated here and there")
    for name in TENSORS:
        values = rows[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        if not (len(values) and np.isfinite(values).all()):
            problems.append(f"{name} are not finite")
    return Outcome("truncated" if rows["truncated"][0].as_py() else "complete", len(rows), problems=problems)


def _check_failure(row: dict[str, Any]) -> Outcome:
    """A message must be one line that names the file and goes on."""
    message = row["message"]
    outcome = "timeout" if "no progress for" in message else "crashed" if "decoder crashed" in message else "failed"
    problems = []
    if row["error"] not in VIDEO_ERRORS or row["stage"] != "decode":
        problems.append(f"failed as {row['error']} at {row['stage']}: {message}")
    if "\n" in message or len(message) < 15:
        problems.append(f"no message of one line: {message!r}")
    return Outcome(outcome, message=message, problems=problems)
