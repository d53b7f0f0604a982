#!/usr/bin/env python
"""Benchmark of start-up: seconds of precompute on three clips, relative to a loop in a single process.

Both are timed from start to exit, including imports: decoding at stride 5, forward pass, maps of all classes, Parquet.
They run alternately; ratios are between neighbouring runs, and medians are shown. A dry run is timed as well.
"""

import dataclasses
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tyro

ROOT = Path(__file__).resolve().parents[1]
LOOP = """
import sys
from pathlib import Path
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.precompute_plan import make_plan
from attn.stages.attention import ComputeMaps
from bench.pipeline import loop_over
videos, weights, out = sys.argv[1:]
plan = make_plan(PrecomputeOptions(videos=videos, out=out, weights=weights))
compute = ComputeMaps(plan.cnn, columns=plan.manifest.columns, precision="fp32", device="cpu")
print(sum(loop_over(plan, plan.stage, compute, Path(out))), "frames")
"""


@dataclasses.dataclass(frozen=True)
class Options:
    videos: str | None = None
    """Folder of videos (default: generated clips, 320x240, 6 s, mpeg4)."""
    count: int = 3
    """Number of clips to generate."""
    backbone: str = "squeezenet1_0"
    """CNN, with random weights."""
    classes: int = 101
    """Number of classes."""
    repeats: int = 3
    """Number of runs of each command."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        weights, videos = prepare(root, options)
        flags = ("--videos", videos, "--weights", weights, "--out")
        job = [sys.executable, ROOT / "jobs" / "precompute.py", *flags]
        ways = {
            "plain loop": [sys.executable, "-c", LOOP, videos, weights],
            "dry run": [*job[:-1], "--dry-run", "--out"],
            "job": job,
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.repeats):
            for name, command in ways.items():
                took[name].append(seconds(command, root / "store"))
    for name, runs in took.items():
        ratio = statistics.median(run / plain for run, plain in zip(runs, took["plain loop"], strict=True))
        shown = ", ".join(f"{run:.1f}" for run in runs)
        print(f"{name:12}{statistics.median(runs):8.1f} s   {ratio:6.2f} × the loop   ({shown})")


def prepare(root: Path, options: Options) -> tuple[str, str]:
    """Create weights and videos."""
    from bench import pipeline  # imported here because only the runs need its libraries

    weights = pipeline.make_weights(
        root / "cnn.safetensors", pipeline.Options(backbone=options.backbone, classes=options.classes)
    )
    return str(weights), options.videos or str(pipeline.make_clips(root / "clips", options.count))


def seconds(command: list[str | Path], store: Path) -> float:
    """Seconds of one run into an empty store; its path is appended to the command."""
    shutil.rmtree(store, ignore_errors=True)
    started_s = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([*command, store], env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr)
    return time.perf_counter() - started_s


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
