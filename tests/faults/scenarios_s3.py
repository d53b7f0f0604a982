"""Runs whose videos and whose store lie in a bucket that misbehaves."""

import dataclasses
from pathlib import Path

from .left import Left
from .material import Material
from .s3_trouble import Trouble, bucket_in_trouble, upload
from .store_run import HARNESS, StoreRun

PASSING = ("slow_down", "error_500", "reset", "reset_within", "cut", "stall")
OBJECTS = r"^GET /trouble/(videos|store)/."


def s3_slow_down(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """503 SlowDown to any request."""
    return _run(material, folder, Trouble(("slow_down",), times, 0.2, seed))


def s3_error_500(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """500 InternalError to any request, done all the same or not."""
    return _run(material, folder, Trouble(("error_500",), times, 0.2, seed))


def s3_reset(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """The connection is reset before an answer, whether what was asked is done or not."""
    return _run(material, folder, Trouble(("reset",), times, 0.2, seed))


def s3_reset_within(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """The connection is reset in the middle of a video or of a part that is read."""
    return _run(material, folder, Trouble(("reset_within",), times, 0.3, seed, OBJECTS))


def s3_cut(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """The body of an answer, of an object or of a listing, ends too early."""
    return _run(material, folder, Trouble(("cut",), times, 0.3, seed, "^GET"))


def s3_stall(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """An answer never comes, or stops in its middle: the client's time for it runs out."""
    return _run(material, folder, Trouble(("stall",), times, 0.1, seed))


def s3_anything(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Any of these to any request."""
    return _run(material, folder, Trouble(PASSING, times, 0.2, seed))


def s3_lost_upload(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """The storage has lost an upload of many pieces when it is to become a part of the store."""
    lost = Trouble(("lose_upload",), times, 0.7, seed, r"^POST /trouble/store/part-.*uploadId=")
    return _run(material, folder, lost, harness="small_uploads")


def s3_full(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """No room for parts, for as many requests in a row: few are outlived, many end the run and the next goes on."""
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
        # An outage while the flags are looked at ends a run with 2 before anything was done.
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
