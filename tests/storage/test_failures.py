"""Of a video that failed more than once, the latest failure counts."""

import dataclasses
from pathlib import Path

import pytest

from attn.storage.failures import Failure, FailureLog, read_failures
from attn.storage.filesystem import join, open_filesystem

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


@pytest.mark.parametrize("storage", ["tmp_path", "s3"])
def test_a_folder_may_be_named_like_a_pattern(storage: str, request: pytest.FixtureRequest) -> None:
    folder = str(request.getfixturevalue(storage))
    for name in ("run1", "run[1]", "only[2]"):
        fs, root = open_filesystem(join(folder, name))
        log = FailureLog(fs, root)
        log.add(dataclasses.replace(FIRST, url=f"{name}/v.avi"))
        log.flush()
    for name in ("run1", "run[1]", "only[2]"):
        assert [failure.url for failure in read_failures(*open_filesystem(join(folder, name))).values()] == [
            f"{name}/v.avi"
        ]
