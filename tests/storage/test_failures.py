"""Of a video that failed more than once, the latest failure counts."""

import dataclasses
from pathlib import Path

from attn.storage.failures import Failure, FailureLog, read_failures
from attn.storage.filesystem import open_filesystem

FIRST = Failure("v", "x/v.avi", "decode", "VideoError", "first", 1)


def test_latest_attempt_counts_whatever_the_order_of_the_files(tmp_path: Path) -> None:
    fs, root = open_filesystem(str(tmp_path))
    attempts = [dataclasses.replace(FIRST, message=f"try {n}", attempt=n) for n in range(1, 9)]
    for failure in attempts:
        log = FailureLog(fs, root)
        log.add(failure)
        log.flush()
    assert len(list((tmp_path / "failures").iterdir())) == 8
    assert read_failures(fs, root) == {"v": attempts[-1]}


def test_nothing_failed_leaves_no_file(tmp_path: Path) -> None:
    fs, root = open_filesystem(str(tmp_path))
    FailureLog(fs, root).flush()
    assert read_failures(fs, root) == {}
    assert not (tmp_path / "failures").exists()
