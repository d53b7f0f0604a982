#!/usr/bin/env python
"""Benchmark of writers: bytes written per CPU second, and the busy share of a CNN whose writer is slow.

The first table justifies the constant from which the number of writers follows (`attn.engine.placement`). Half of the
values of its random maps are zero, as after the ReLU of Grad-CAM.

For the second table, the job runs on a local Ray. At the fault points, this module plays a CNN that takes `--compute-s`
per batch and a writer that takes a share of this time, its load, per video; a video is one batch. With a load of at
most 1, the writer keeps up, and an actor that never waits for it computes all the time. The busy share is the time
from batch to batch without delay over the time with it. Runs alternate; medians are shown with all runs in brackets.
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
CPU_S = 3.0  # per row of the first table


@dataclasses.dataclass(frozen=True)
class Options:
    videos: int = 44
    """Number of clips of a run."""
    compute_s: float = 0.4
    """Seconds of a batch in the CNN."""
    loads: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9)
    """Seconds of a batch in the writer, over those in the CNN. An actor that waits is busy for 1 / (1 + load)."""
    actors: int = 1
    """Number of actors. All of them share one writer, which has the same load as with one actor."""
    repeats: int = 3
    """Number of runs of each load; 0 skips the second table."""


def reach(point: str, _video_id: str) -> None:
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
        show_rates(Path(name))
        if options.repeats:
            show_busy_shares(Path(name), options)


def show_rates(folder: Path) -> None:
    print(f"{'columns':16}{'classes':>8}{'channels':>10}{'bytes/row':>11}{'ms/row':>9}{'MB/CPU s':>10}", flush=True)
    kinds = [(("logits", "maps"), classes, 1) for classes in (10, 101, 400, 1000)]
    for number, kind in enumerate([*kinds, (("features",), 1, 2048), (("grid",), 1, 512), (("grid",), 1, 2048)]):
        row_bytes, seconds = cpu_s_per_row(str(folder / f"rates{number}"), *kind)
        rate = row_bytes / seconds / 1e6
        columns, classes, channels = kind
        print(
            f"{' '.join(columns):16}{classes:8}{channels:10}{row_bytes:11}{seconds * 1e3:9.3f}{rate:10.1f}", flush=True
        )


def cpu_s_per_row(url: str, columns: tuple[str, ...], classes: int, channels: int) -> tuple[int, float]:
    """Write videos of 32 random rows and return the bytes and the CPU seconds per row."""
    import numpy as np

    from attn.schema import attention_schema, row_bytes
    from attn.stages.rows import record_batch
    from attn.storage.tensors import tensor_shape
    from attn.storage.writer import StoreWriter, travelling_schema

    count = 32
    schema = attention_schema(columns, num_classes=classes, num_channels=channels, map_shape=(7, 7))
    shapes = {field.name: tensor_shape(field) for field in schema if field.name in columns}
    random, whole = np.random.default_rng(0), np.arange(count, dtype=np.int32)
    tensors = {
        name: np.maximum(random.normal(size=(count, *shape)), 0).astype(np.float32 if name == "logits" else np.float16)
        for name, shape in shapes.items()
    }
    frames = {
        "label": np.zeros(count, np.int16),
        "frame": whole,
        "time_s": whole / np.float32(25),
        "position": whole,
        "last": whole == count - 1,
        "truncated": np.zeros(count, bool),
    }
    Path(url).mkdir()
    writer, videos, spent_s = StoreWriter(url, schema, part_bytes=2**27), 0, 0.0
    while spent_s < CPU_S:
        frames["video_id"] = np.full(count, f"video{videos}", object)
        rows = record_batch(frames, tensors, travelling_schema(schema))
        started_s = time.process_time()
        writer.add(rows)
        spent_s, videos = spent_s + time.process_time() - started_s, videos + 1
    started_s = time.process_time()
    writer.flush()
    return row_bytes(schema), (spent_s + time.process_time() - started_s) / (videos * count)


def show_busy_shares(folder: Path, options: Options) -> None:
    os.environ |= {"ATTN_FAULT_HARNESS": "bench.writers", FOLDER: str(folder), "RAY_ADDRESS": "local"}
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
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
    """Time from one batch to the next, of all actors together, with a delayed writer."""
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
    sys.path.insert(0, str(ROOT))
    main()
