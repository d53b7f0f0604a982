"""Of a video that failed more than once, the latest failure counts."""

import dataclasses
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from attn.storage.failures import Failure, FailureLog, read_failures
from attn.storage.location import Location

FIRST = Failure("v", "x/v.avi", "decode", "VideoError", "first", 1)


def test_latest_attempt_counts_whatever_the_order_of_the_files(tmp_path: Path) -> None:
    root = Location.at(str(tmp_path))
    attempts = [dataclasses.replace(FIRST, message=f"try {n}", attempt=n) for n in range(1, 9)]
    for failure in attempts:
        log = FailureLog(root)
        log.add(failure)
        log.flush()
    assert len(list((tmp_path / "failures").iterdir())) == 8
    assert read_failures(root) == {"v": attempts[-1]}


def test_nothing_failed_leaves_no_file(tmp_path: Path) -> None:
    root = Location.at(str(tmp_path))
    FailureLog(root).flush()
    assert read_failures(root) == {}
    assert not (tmp_path / "failures").exists()


@pytest.mark.parametrize("storage", ["tmp_path", "s3"])
def test_a_folder_may_be_named_like_a_pattern(storage: str, request: pytest.FixtureRequest) -> None:
    folder = str(request.getfixturevalue(storage))
    for name in ("run1", "run[1]", "only[2]"):
        root = Location.at(folder) / name
        log = FailureLog(root)
        log.add(dataclasses.replace(FIRST, url=f"{name}/v.avi"))
        log.flush()
    for name in ("run1", "run[1]", "only[2]"):
        assert [failure.url for failure in read_failures(Location.at(folder) / name).values()] == [f"{name}/v.avi"]


def test_more_files_than_one_listing_of_s3_shows(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")  # 1000 on AWS
    root = Location.at(s3) / "store"
    for number in range(35):
        log = FailureLog(root)
        log.add(dataclasses.replace(FIRST, video_id=f"v{number}"))
        log.flush()
    assert read_failures(root).keys() == {f"v{number}" for number in range(35)}


def test_a_damaged_file_of_failures_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Location.at(str(tmp_path))
    for name in ("a", "b"):
        failures = FailureLog(store)
        failures.add(Failure(name, "x", "decode", "VideoError", "no frame", 1))
        failures.flush()
    damaged, whole = sorted((tmp_path / "failures").iterdir())
    damaged.write_bytes(b"")
    (left,) = read_failures(store)
    assert pq.read_table(whole)["video_id"].to_pylist() == [left]
    assert f"{damaged}: unreadable file" in caplog.text
