#!/usr/bin/env python
"""Benchmark of the explorer: milliseconds of its answers, from a local store and from an S3 server on this machine.

A store of random maps is generated, half of whose values are zero, as after the ReLU of Grad-CAM. The job runs in its
own process and is asked over HTTP, as a browser asks it: a frame of any video, which costs a row group unless it is
cached; the next frame of the same video; and the values of a whole video over time. The S3 server is moto, in a process
of its own; the files of the local store are in the page cache. Bare reads of the bytes of a row group show how much of
an answer is the storage's.
"""

import contextlib
import dataclasses
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tyro

ROOT = Path(__file__).resolve().parents[1]
POOL = 1009  # different random frames; a prime, so that videos differ


@dataclasses.dataclass(frozen=True)
class Options:
    frames: int = 100_000
    """Number of frames of the store."""
    frames_per_video: int = 37
    """Number of frames of each video: a UCF101 clip of 7.2 s at stride 5."""
    classes: int = 101
    """Number of classes."""
    map_side: int = 7
    """Rows and columns of the maps."""
    asks: int = 200
    """Number of requests of each kind."""
    s3: bool = True
    """Measure the S3 server too."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    with tempfile.TemporaryDirectory(prefix="attn-bench-") as folder:
        store, videos = generate(f"{folder}/store", options)
        size = sum(path.stat().st_size for path in Path(store).iterdir()) / 1e6
        print(f"{options.frames} frames × {options.classes} classes, {len(videos)} videos, {size:.0f} MB")
        print(f"{'store':8}{'answer':30}{'p50, ms':>9}{'p95, ms':>9}{'largest, ms':>13}")
        groups = row_groups(store)
        measure("local", store, videos, groups, options)
        if options.s3:
            with s3_server() as endpoint:
                measure("S3", upload(store, endpoint), videos, groups, options)


def generate(url: str, options: Options) -> tuple[str, list[str]]:
    """Write the store; return its URL and the IDs of its videos."""
    from tests.stores import new_manifest, write_store

    random = np.random.default_rng(0)
    shape = (POOL, options.classes, options.map_side, options.map_side)
    maps = np.maximum(random.normal(size=shape), 0).astype(np.float16)
    logits = random.normal(size=shape[:2]).astype(np.float32)
    manifest = new_manifest(
        class_names=tuple(f"class {i}" for i in range(options.classes)),
        map_shape=(options.map_side, options.map_side),
    )
    count = options.frames_per_video
    ids = [f"v{i:05}" for i in range(options.frames // count)]
    rows = ((np.arange(count) + count * i) % POOL for i in range(len(ids)))
    videos = Videos(zip(ids, ({"maps": maps[row], "logits": logits[row]} for row in rows), strict=True))
    return write_store(url, manifest, videos, part_bytes=128 << 20), ids


class Videos(dict[str, Any]):
    """Videos that are made one at a time when they are written."""

    def __init__(self, made: Iterator[tuple[str, Any]]):
        super().__init__()
        self._made = made

    def items(self) -> Any:
        """Videos by ID."""
        return self._made


def row_groups(store: str) -> list[tuple[str, int, int]]:
    """File, first byte and last byte of the tensors of each row group."""
    import pyarrow.parquet as pq

    found = []
    for path in sorted(Path(store).glob("part-*")):
        metadata = pq.read_metadata(path)
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            columns = [group.column(i) for i in range(group.num_columns)]
            tensors = [one for one in columns if one.path_in_schema.startswith(("logits", "maps"))]
            start = min(one.dictionary_page_offset or one.data_page_offset for one in tensors)
            found.append((path.name, start, start + sum(one.total_compressed_size for one in tensors)))
    return found


def measure(name: str, store: str, videos: list[str], groups: list[tuple[str, int, int]], options: Options) -> None:
    """Ask for frames and values, and print a line for each kind of answer."""
    from attn.storage.location import Location

    root = Location.at(store)
    begun_s = time.perf_counter()
    with explorer(store) as address:
        print(f"{name:8}{'start to address, s':30}{time.perf_counter() - begun_s:9.1f}", flush=True)
        random = np.random.default_rng(1)
        some = [videos[i] for i in random.choice(len(videos), options.asks, replace=len(videos) < options.asks)]
        classes = [("class", i) for i in random.integers(0, options.classes, 2)]
        last, client = options.frames_per_video - 1, http.client.HTTPConnection(address)

        def any_frame(i: int) -> None:
            position = int(random.integers(0, last + 1))
            ask(client, "frame", ("video", some[i]), ("position", position), *classes)

        def next_frame(i: int) -> None:
            ask(client, "frame", ("video", some[i // last]), ("position", i % last), *classes)

        def curves(i: int) -> None:
            ask(client, "curves", ("video", some[i]), *classes)

        def bare(_: int) -> None:
            file, start, stop = groups[int(random.integers(len(groups)))]
            (root / file).read_bytes(start, stop)

        kinds = {
            "bytes of a row group, bare": bare,
            "frame of any video": any_frame,
            "next frame of a video": next_frame,
            "values over time": curves,
        }
        for kind, request in kinds.items():
            times = milliseconds(request, options.asks)
            middle, high = np.percentile(times, (50, 95))
            print(f"{name:8}{kind:30}{middle:9.1f}{high:9.1f}{max(times):13.1f}", flush=True)


def milliseconds(request: Callable[[int], None], asks: int) -> list[float]:
    """Time of each request."""
    times = []
    for i in range(asks):
        begun_s = time.perf_counter()
        request(i)
        times.append(1000 * (time.perf_counter() - begun_s))
    return times


def ask(client: http.client.HTTPConnection, what: str, *query: tuple[str, object]) -> Any:
    client.request("GET", f"/api/{what}?{urllib.parse.urlencode(query)}")
    answer = client.getresponse()
    content = json.loads(answer.read())
    if answer.status != 200:
        raise SystemExit(content["error"])
    return content


@contextlib.contextmanager
def explorer(store: str) -> Iterator[str]:
    """Run the job; yield host and port."""
    command = [sys.executable, ROOT / "jobs" / "explore.py", "--store", store, "--port", "0", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        try:
            said = running.stdout.readline().decode() if running.stdout else ""
            yield urllib.parse.urlsplit(said.split()[0]).netloc
        finally:
            running.terminate()


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Run an S3 server; yield its URL."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            while running.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()


def upload(store: str, endpoint: str) -> str:
    """Copy a store to a new bucket; this process and its children reach the server from now on."""
    import s3fs

    from tests.s3_settings import s3_settings

    os.environ.update(s3_settings(endpoint))
    fs = s3fs.S3FileSystem(use_listings_cache=False)
    fs.mkdir("bench")
    for path in sorted(Path(store).iterdir()):
        fs.put_file(str(path), f"bench/store/{path.name}")
    return "s3://bench/store"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
