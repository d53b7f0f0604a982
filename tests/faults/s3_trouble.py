"""S3 bucket that jobs reach through a proxy that breaks requests, while the test reaches it directly."""

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

READ_TIMEOUT_S = 5  # timeout of the clients; the default of s3fs is 15


@dataclasses.dataclass(frozen=True)
class Trouble:
    """Faults of S3 requests.

    Attributes:
        kinds: methods of the proxy, one of which is chosen at random for each fault.
        most: maximum number of faults.
        share: share of the matching requests to break.
        seed: random seed.
        requests: regular expression for `METHOD /path?query` of the requests to break.
        in_a_row: whether every matching request after the first fault is broken too.
    """

    kinds: tuple[str, ...]
    most: int
    share: float
    seed: int
    requests: str = "."
    in_a_row: bool = False


@contextlib.contextmanager
def bucket_in_trouble(folder: Path, trouble: Trouble, trace: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the URL of an empty bucket, and the environment variables with which a job reaches it through the proxy.

    This process reaches the bucket directly.

    Args:
        folder: existing folder for the proxy's plan.
        trouble: faults to inject.
        trace: file that gets a line for every broken request.
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
    """Copy a folder into a bucket and return the URL of the copy."""
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
    """Set environment variables of this process for a while, without S3 clients that were cached before."""
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
