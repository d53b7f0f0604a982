#!/usr/bin/env python
"""Benchmark of Ray's overhead: frames per second of the precompute job, relative to a single-process loop.

Both do equal work on the same cores: decoding at stride 5, forward pass, maps of all classes, Parquet. Both rates are
measured from the end of the first batch to the end of the last, without the start of decoder and CNN and the final
flush. Frames that the job decodes while its CNN is loading are included, so a small --count favours the job. Runs
alternate, and medians are shown. A second table compares the job's peak memory (of all its processes, with shared
memory counted once) for few and many videos.
"""

import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import psutil
import torch
import tyro

from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.precompute_plan import Plan, make_plan
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, save_checkpoint
from attn.stages.attention import ComputeMaps
from attn.stages.decode_videos import IMAGE, DecodeVideos
from attn.stages.rows import record_batch
from attn.storage.writer import StoreWriter, travelling_schema
from attn.video.sandbox.guard import FrameReader

PRECOMPUTE = Path(__file__).resolve().parents[1] / "jobs" / "precompute.py"


@dataclasses.dataclass(frozen=True)
class Options:
    videos: str | None = None
    """Folder of videos (default: generated clips, 320x240, 6 s, mpeg4)."""
    count: int = 60
    """Number of clips to generate for the speed table."""
    backbone: str = "mobilenet_v2"
    """CNN, with random weights."""
    classes: int = 101
    """Number of classes."""
    repeats: int = 3
    """Number of runs of each."""
    memory: tuple[int, int] = (200, 1000)
    """Numbers of videos for the memory table; 0 0 skips it."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        weights = make_weights(root / "cnn.safetensors", options)
        videos = options.videos or str(make_clips(root / "clips", options.count))
        compare_speed(root, videos, weights, options.repeats)
        if options.memory[1]:
            compare_memory(root, weights, options.memory)


def make_weights(path: Path, options: Options) -> Path:
    torch.manual_seed(0)
    cnn = Cnn(
        backbone=build_backbone(options.backbone, options.classes).eval(),
        backbone_name=options.backbone,
        class_names=tuple(f"class {i}" for i in range(options.classes)),
        input_size=224,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        trained={},
        weights_sha256="",
    )
    save_checkpoint(str(path), cnn)
    return path


def make_clips(folder: Path, count: int, *, frames: int = 150, width: int = 320, height: int = 240) -> Path:
    """Generate clips with moving gradients; all but the first ten are hard links."""
    folder.mkdir(parents=True)
    for i in range(count):
        path = folder / f"clip{i:05}.avi"
        if i >= 10:
            os.link(folder / f"clip{i % 10:05}.avi", path)
            continue
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=25, options={"qscale": "5"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for t in range(frames):
                rows, cols = np.mgrid[0:height, 0:width]
                image = np.stack([rows + 3 * t, cols + i * t, rows + cols], -1).astype(np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
            container.mux(stream.encode())
    return folder


def compare_speed(root: Path, videos: str, weights: Path, repeats: int) -> None:
    loop, job = [], []
    for _ in range(repeats):
        loop.append(run_loop(root, videos, weights))
        job.append(run_job(root, videos, weights)["frames_per_s"])
    ratio = statistics.median(j / s for j, s in zip(job, loop, strict=True))
    print(f"{'frames/s':24}{'median':>10}{'all runs':>30}")
    for name, rates in (("single-process loop", loop), ("Ray job, steady state", job)):
        print(f"{name:24}{statistics.median(rates):10.1f}{', '.join(f'{rate:.1f}' for rate in rates):>30}")
    print(f"{'job / loop':24}{ratio:10.3f}")


def run_loop(root: Path, videos: str, weights: Path) -> float:
    """Frames per second of the same stages, called sequentially in this process on all cores."""
    out = root / "loop-store"
    shutil.rmtree(out, ignore_errors=True)
    plan = make_plan(PrecomputeOptions(videos=videos, out=str(out), weights=str(weights)))
    compute = ComputeMaps(plan.cnn, columns=plan.manifest.columns, precision="fp32", device="cpu")
    batches = [(time.perf_counter(), frames) for frames in loop_over(plan, plan.stage, compute, out)]
    if len(batches) < 2:
        raise SystemExit("--count: the videos fill only one batch, but a rate needs two. Give a larger value.")
    seconds = batches[-1][0] - batches[0][0]
    return sum(frames for _, frames in batches[1:]) / seconds  # as in `attn.engine.progress` for the job


def loop_over(plan: Plan, stage: DecodeVideos, compute: ComputeMaps, out: Path) -> Iterator[int]:
    """Yield the number of frames of each batch after its rows have been passed to the writer."""
    schema = travelling_schema(plan.manifest.schema)
    writer = StoreWriter(str(out), plan.manifest.schema, part_bytes=2**27)
    with FrameReader() as reader:
        for batch in stage(plan.videos, reader):
            if not isinstance(batch, dict):
                raise SystemExit(f"{batch.video_id}: {batch.message}")
            rows = record_batch(batch, compute(batch[IMAGE]), schema)
            writer.add(rows)
            yield rows.num_rows
    writer.flush()


def run_job(root: Path, videos: str, weights: Path) -> dict[str, float]:
    """Run one precompute job; returns its summary with the peak memory in bytes."""
    out = root / "job-store"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, PRECOMPUTE, "--videos", videos, "--out", out, "--weights", weights]
    environment = {"RAY_ADDRESS": "local", **os.environ}  # a small job would run without Ray
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as process:
        peak = Peak(process.pid)
        _, log = process.communicate()
    if process.returncode:
        raise SystemExit(log.decode())
    return json.loads((out / "_SUCCESS.json").read_text()) | {"peak_bytes": peak.stop()}


class Peak:
    """Peak memory (PSS, with shared pages counted once) of a process and its descendants, by sampling."""

    def __init__(self, pid: int):
        self._process, self._peak, self._stop = psutil.Process(pid), 0, threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def stop(self) -> int:
        self._stop.set()
        self._thread.join()
        return self._peak

    def _sample(self) -> None:
        while not self._stop.wait(0.5):
            self._peak = max(self._peak, sum(map(pss, self._family())))

    def _family(self) -> list[psutil.Process]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def pss(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def compare_memory(root: Path, weights: Path, counts: tuple[int, int]) -> None:
    print(f"{'videos':>8}{'peak MB':>12}")
    peaks = []
    for count in counts:
        videos = make_clips(root / f"clips{count}", count)
        peaks.append(run_job(root, str(videos), weights)["peak_bytes"])
        print(f"{count:8}{peaks[-1] / 1e6:12.0f}")
    print(f"{'ratio':>8}{peaks[1] / peaks[0]:12.3f}")


if __name__ == "__main__":
    main()
