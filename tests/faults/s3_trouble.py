"""A bucket behind a proxy that breaks requests, for the jobs; without it, for those who look at what is left."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.s3_settings import s3_settings

from .store_run import INJECTION

READ_TIMEOUT_S = 5  # of the clients; s3fs has 15


@dataclasses.dataclass(frozen=True)
class Trouble:
    """What befalls requests.

    Attributes:
        kinds: methods of the proxy, of which chance takes one.
        most: how often.
        share: of those that it may befall.
        requests: a pattern of `METHOD /path?query` that they match.
        in_a_row: once it has begun it befalls each.
    """

    kinds: tuple[str, ...]
    most: int
    share: float
    seed: int
    requests: str = "."
    in_a_row: bool = False


@contextlib.contextmanager
def bucket_in_trouble(folder: Path, trouble: Trouble, trace: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """URL of an empty bucket, which this process reaches without trouble, and what a job needs to reach it with.

    Args:
        folder: exists; gets the plan.
        trace: gets a line for every broken request.
    """
    plan = folder / "trouble.json"
    plan.write_text(json.dumps({**dataclasses.asdict(trouble), "trace": str(trace)}))
    command = [sys.executable, str(INJECTION / "s3_proxy.py"), str(plan)]
    with (
        (folder / "proxy.log").open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as proxy,
    ):
        assert proxy.stdout
        assert proxy.stdin
        try:
            ports = json.loads(proxy.stdout.readline())
            with _reached(_settings(ports["moto"])):
                import s3fs

                s3fs.S3FileSystem(use_listings_cache=False).mkdir("trouble")
                yield "s3://trouble", _settings(ports["proxy"])
        finally:
            proxy.stdin.close()


def upload(videos: str, url: str) -> str:
    """Copies a folder into a bucket; its URL there."""
    import s3fs

    fs = s3fs.S3FileSystem(use_listings_cache=False)
    for path in sorted(Path(videos).iterdir()):
        fs.pipe_file(f"{url}/videos/{path.name}", path.read_bytes())
    return f"{url}/videos"


def _settings(port: int) -> dict[str, str]:
    patience = {"config_kwargs": {"read_timeout": READ_TIMEOUT_S}}
    return {**s3_settings(f"http://127.0.0.1:{port}"), "FSSPEC_S3": json.dumps(patience)}


@contextlib.contextmanager
def _reached(settings: dict[str, str]) -> Iterator[None]:
    """The environment of this process, and its clients, which keep what they were made with."""
    import s3fs

    before = dict(os.environ)
    os.environ.update(settings)
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        s3fs.S3FileSystem.clear_instance_cache()
