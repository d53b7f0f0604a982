"""A small part of the campaign, the same files every time: what CI can wait for."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign import Finding, Folder
from guarded import MeasuredReader
from job import save_small_cnn
from mutants import ROUND, mutant

from attn.video.sample import Stride

TIMEOUT_S = 10.0
THROUGH_THE_JOB = range(1000, 1000 + 2 * len(ROUND))


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("libav").setLevel(logging.NOTSET)


def test_one_of_each_kind_through_the_guard(tmp_path: Path) -> None:
    reader, problems, rows = MeasuredReader(TIMEOUT_S), [], 0
    try:
        for number in range(len(ROUND)):
            made = mutant(0, number)
            finding = Finding(made, reader.read(made.write(tmp_path), Stride(2)))
            problems += [f"{number} {made.kind}: {problem}" for problem in finding.problems(TIMEOUT_S)]
            rows += finding.guarded.rows
    finally:
        reader.close()
    assert problems == []
    assert rows > 200


@pytest.mark.timeout(600)
@pytest.mark.long
def test_a_folder_of_them_through_the_guard_and_a_real_job(tmp_path: Path) -> None:
    weights = save_small_cnn(tmp_path / "small.safetensors")
    findings, problems = Folder(tmp_path / "folder", 0, THROUGH_THE_JOB, real=False).examine(weights, TIMEOUT_S)
    assert problems == []
    assert len(findings) == len(THROUGH_THE_JOB)
    for one in ("complete", "truncated", "failed"):
        assert sum(finding.stored is not None and finding.stored.outcome == one for finding in findings) > 10
