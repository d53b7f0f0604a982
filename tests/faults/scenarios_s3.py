"""Faults of S3, for runs whose videos and store are in a bucket."""

import dataclasses
from pathlib import Path

from .left import Left
from .material import Material
from .s3_trouble import Trouble, bucket_in_trouble, upload
from .store_run import HARNESS, StoreRun

PASSING = ("slow_down", "error_500", "reset", "reset_within", "cut", "stall")
OBJECTS = r"^GET /trouble/(videos|store)/."


def s3_slow_down(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Any request gets 503 SlowDown."""
    return _run(material, folder, Trouble(("slow_down",), times, 0.2, seed))


def s3_error_500(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Any request gets 500 InternalError, whether or not it was executed."""
    return _run(material, folder, Trouble(("error_500",), times, 0.2, seed))


def s3_reset(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """The connection is reset before the response, whether or not the request was executed."""
    return _run(material, folder, Trouble(("reset",), times, 0.2, seed))


def s3_reset_within(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """The connection is reset while a video or a part is being read."""
    return _run(material, folder, Trouble(("reset_within",), times, 0.3, seed, OBJECTS))


def s3_cut(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """The body of a response, an object or a listing, is truncated."""
    return _run(material, folder, Trouble(("cut",), times, 0.3, seed, "^GET"))


def s3_stall(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """A response never starts or stops midway, until the client times out."""
    return _run(material, folder, Trouble(("stall",), times, 0.1, seed))


def s3_anything(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Any request gets any of the faults above."""
    return _run(material, folder, Trouble(PASSING, times, 0.2, seed))


def s3_lost_upload(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """The storage loses a multipart upload of a store's part before it is completed."""
    lost = Trouble(("lose_upload",), times, 0.7, seed, r"^POST /trouble/store/part-.*uploadId=")
    return _run(material, folder, lost, harness="small_uploads")


def s3_full(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Consecutive uploads of parts fail because the storage is full; if they are too many, the next run resumes."""
    full = Trouble(("full",), times, 0.5, seed, r"^PUT /trouble/store/part-", in_a_row=True)
    return _run(material, folder, full)


def _run(material: Material, folder: Path, trouble: Trouble, harness: str = HARNESS) -> Left:
    folder.mkdir(parents=True, exist_ok=True)
    with bucket_in_trouble(folder, trouble, folder / "run" / "trace.txt") as (url, settings):
        there = dataclasses.replace(material, videos=upload(material.videos, url))
        environment = {**settings, "ATTN_FAULT_HARNESS": harness}
        flags = ("--max-failed-fraction", "0")
        run = StoreRun(there, f"{url}/store", folder / "run", seed=trouble.seed, environment=environment, flags=flags)
        most_runs = 4 + trouble.most
        # A fault while the inputs are checked ends a run with exit code 2 before any work.
        while run.finish(most_runs=most_runs) == 2 and run.runs < most_runs:
            pass
        return run.ended(tries=1 + trouble.most)


SCENARIOS = {
    "S3 slows down": s3_slow_down,
    "S3 answers 500": s3_error_500,
    "S3 resets": s3_reset,
    "S3 resets within an answer": s3_reset_within,
    "S3 cuts an answer": s3_cut,
    "S3 stalls": s3_stall,
    "S3 does any of these": s3_anything,
    "S3 loses an upload": s3_lost_upload,
    "S3 is full": s3_full,
}
