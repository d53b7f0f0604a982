#!/usr/bin/env python
"""Benchmark of delivery: share of its time that a CNN actor computes while the writers are slow.

The job runs on a local Ray. At the fault points, this module plays a CNN that takes `--compute-s` per batch and a
writer that takes a share of this time, its load, per video; a video is one batch. With a load below 1, the writer keeps
up, and an actor that never waits for it computes all the time. The busy share is the time between batches without
delay over the time with it; runs alternate, and medians are shown with all runs in brackets.
"""

import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import tyro

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "ATTN_BENCH_FOLDER"
FRAMES = 8  # few and small, so that the delays take most of the time
WARM_UP = 4  # batches before which the pipeline has no steady state


@dataclasses.dataclass(frozen=True)
class Options:
    videos: int = 44
    """Number of clips of a run."""
    compute_s: float = 0.4
    """Seconds of a batch in the CNN."""
    loads: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9)
    """Seconds of a batch in the writer, over those in the CNN. An actor that waits is busy for 1 / (1 + load)."""
    actors: int = 1
    """Number of actors. Above 1, a single writer has less time per batch of each."""
    repeats: int = 3
    """Number of runs of each load."""


def reach(point: str, video_id: str) -> None:
    """Delay an actor or a writer; `attn.fault_points` calls this in their processes."""
    folder = Path(os.environ[FOLDER])
    if point not in ("maps", "write"):
        return
    if point == "maps":
        with (folder / "batches.txt").open("a") as batches:
            batches.write(f"{time.monotonic():.4f}\n")
    time.sleep(json.loads((folder / "delays.json").read_text())[point])


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    with tempfile.TemporaryDirectory(prefix="attn-bench-") as name:
        folder = Path(name)
        os.environ |= {"ATTN_FAULT_HARNESS": "bench.writers", FOLDER: name, "RAY_ADDRESS": "local"}
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        sys.path.insert(0, str(ROOT))
        from bench import pipeline

        weights = pipeline.make_weights(folder / "cnn.safetensors", pipeline.Options(backbone="small_cnn", classes=10))
        clips = pipeline.make_clips(folder / "clips", options.videos, frames=FRAMES, width=64, height=48)
        shares: dict[float, list[float]] = {load: [] for load in options.loads}
        for number in range(options.repeats):
            free_s = seconds_per_batch(folder, clips, weights, options, load=0)
            for load, found in shares.items():
                found.append(free_s / seconds_per_batch(folder, clips, weights, options, load=load))
            print(f"run {number + 1} of {options.repeats}: {free_s:.3f} s per batch without delay", flush=True)
    print(f"\n{'load of the writer':20}{'busy share':>12}{'if it waited':>14}")
    for load, found in shares.items():
        runs = ", ".join(f"{share:.3f}" for share in found)
        print(f"{load:<20g}{statistics.median(found):12.3f}{1 / (1 + load):14.3f}   ({runs})")


def seconds_per_batch(folder: Path, clips: Path, weights: Path, options: Options, *, load: float) -> float:
    """Run the job with a delayed writer and return the time from one batch to the next, of all actors together."""
    from attn.commands.precompute import precompute
    from attn.commands.precompute_options import PrecomputeOptions
    from attn.engine.session import start_ray

    batches = folder / "batches.txt"
    batches.write_text("")
    delays = {"maps": options.compute_s, "write": load * options.compute_s / options.actors}
    (folder / "delays.json").write_text(json.dumps(delays))
    start_ray(num_cpus=2 * options.actors + 2)  # delays need no core
    job = PrecomputeOptions(
        videos=str(clips),
        out=str(folder / "store"),
        weights=str(weights),
        actors=(options.actors, options.actors),
        gpus_per_actor=0,
        input_size=32,
        stride=1,
        batch_size=FRAMES,
        overwrite=True,
    )
    if code := precompute(job):
        raise SystemExit(f"precompute: exit code {code}. See its messages above.")
    times = sorted(map(float, batches.read_text().split()))
    if len(times) != options.videos:
        raise SystemExit(f"{len(times)} batches of {options.videos} videos. Run it again on an idle machine.")
    return (times[-1] - times[WARM_UP]) / (len(times) - 1 - WARM_UP)


if __name__ == "__main__":
    main()
