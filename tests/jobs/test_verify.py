"""`jobs/verify.py` as a user runs it."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attn.storage.failures import Failure, FailureLog
from attn.storage.ledger import Ledger
from attn.storage.manifest import FrameManifest

RunJob = Callable[..., subprocess.CompletedProcess[str]]
NAMES = ("v_Kick_1", "v_Kick_2", "v_Wave_1", "v_Wave_2")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Folder with a dummy file for each name; the files are never decoded."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.avi").write_bytes(b"RIFF")
    return folder


@pytest.fixture
def store(tmp_path: Path, write_store: Callable[..., str], new_manifest: Callable) -> Path:
    """Finished store of the first three videos in three parts; the fourth has failed."""
    manifest = new_manifest(class_names=("Kick", "Wave"), columns=("logits",))
    logits = {name: {"logits": np.ones((5, 2), np.float32)} for name in NAMES[:3]}
    write_store(str(tmp_path / "store"), manifest, logits, part_bytes=1, finished=False)
    ledger = Ledger.at(str(tmp_path / "store"))
    failures = FailureLog(ledger.folder)
    failures.add(Failure(NAMES[3], "x", "decode", "VideoError", "holds \x1b[2J no\nvideo stream", 1))
    failures.flush()
    ledger.finish({"fingerprint": manifest.fingerprint, "videos": 3, "rows": 15, "failed": 1})
    return tmp_path / "store"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_complete_store(run_job: RunJob, store: Path, videos: Path) -> None:
    before = files(store)
    done = run_job("verify.py", "--store", store, "--videos", videos, "--max-failed-fraction", 0.25)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 videos, 15 rows in 3 parts; 1 failed" in done.stdout
    assert r"  failed: v_Wave_2: holds \x1b[2J no\nvideo stream" + "\n" in done.stdout
    assert done.stdout.endswith("complete except for 1 failed: every frame of every other video exactly once\n")
    assert files(store) == before


def test_too_many_failures_and_missing_videos(run_job: RunJob, store: Path, videos: Path) -> None:
    done = run_job("verify.py", "--store", store)
    assert done.returncode == 1
    too_many = "1 of 4 videos failed, at most 0 are allowed (a share of 0.01)"
    assert f"NOT complete: {too_many}. 1 of the videos cannot" in done.stdout
    (videos / "v_Wave_3.avi").touch()
    os.remove(videos / "v_Kick_1.avi")
    done = run_job("verify.py", "--store", store, "--videos", videos, "--max-failed-fraction", 1)
    assert done.returncode == 1
    assert "  missing: v_Wave_3: " in done.stdout
    assert "1 videos that were not asked for" in done.stdout


def test_only_failures_that_are_asked_for_count(run_job: RunJob, store: Path, videos: Path) -> None:
    failed = videos / "v_Wave_2.avi"
    failed.rename(videos / "v_Wave_2.txt")
    done = run_job("verify.py", "--store", store, "--videos", videos)
    assert done.returncode == 0
    assert done.stdout.endswith("complete: every frame of every video exactly once\n")
    (videos / "v_Wave_2.txt").rename(failed)
    for path in videos.glob("v_Kick*"):
        path.unlink()
    done = run_job("verify.py", "--store", store, "--videos", videos, "--max-failed-fraction", 0.4)
    assert done.returncode == 1, "one of the two that are asked for, whatever else the store holds"
    done = run_job("verify.py", "--store", store, "--videos", videos, "--max-failed-fraction", 0.5)
    assert done.returncode == 0


def test_without_the_videos_only_failures_of_the_last_run_count(run_job: RunJob, store: Path) -> None:
    ledger = Ledger.at(str(store))
    summary = {"fingerprint": ledger.manifest().fingerprint, "videos": 3, "rows": 15}
    ledger.finish({**summary, "failed": 1, "failed_videos": [NAMES[3]]})
    assert "1 of 4 videos failed" in run_job("verify.py", "--store", store).stdout
    ledger.finish({**summary, "failed": 0, "failed_videos": []})  # the failed video was removed from the input
    done = run_job("verify.py", "--store", store)
    assert done.returncode == 0
    assert "complete: every frame of every video exactly once, according to the record" in done.stdout


def test_repair(run_job: RunJob, store: Path) -> None:
    broken, doubled = sorted(store.glob("part-*"))[:2]
    (store / "part-zz.parquet").write_bytes(doubled.read_bytes())
    broken.write_bytes(broken.read_bytes()[:-9])
    arguments = ("--store", store, "--max-failed-fraction", 1)
    done = run_job("verify.py", *arguments)
    assert done.returncode == 1
    assert re.search(
        r"NOT complete: 1 unreadable parts, 1 duplicate videos, .*\. Remove the faults with -", done.stdout
    )
    assert broken.exists()
    done = run_job("verify.py", *arguments, "--repair")
    assert done.returncode == 1
    assert "The faults were removed. Run the same precompute again" in done.stdout
    assert not broken.exists()
    assert not (store / "part-zz.parquet").exists()
    done = run_job("verify.py", *arguments)
    assert "2 videos, 10 rows in 2 parts" in done.stdout
    assert "NOT complete: not finished. Run the same precompute again to complete the store" in done.stdout


def test_a_frame_store(run_job: RunJob, tmp_path: Path, write_store: Callable[..., str]) -> None:
    manifest = FrameManifest(input_size=8, preprocessing="p", sampling={"stride": 5})
    frames = {"v": {"image": np.zeros((4, 8, 8, 3), np.uint8)}}
    url = write_store(str(tmp_path / "frames"), manifest, frames, finished=False)
    ledger = Ledger.at(url, FrameManifest)
    ledger.finish({"fingerprint": manifest.fingerprint, "videos": 1, "rows": 4, "failed": 0})
    done = run_job("verify.py", "--store", url, "--deep")
    assert done.returncode == 0, done.stdout
    assert "frame store" in done.stdout
    path = tmp_path / "frames" / "manifest.json"
    path.write_text(path.read_text().replace('"stride": 5', '"stride": 4'))
    assert "the file was edited" in run_job("verify.py", "--store", url).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--store", "{store}/nothing"], "not a store, because manifest.json is missing"),
        (["--store", "{store}", "--videos", "{store}/nothing"], "nothing: does not exist"),
        (["--store", "{store}", "--lists", "x.txt"], "Give --videos too"),
        (["--store", "{store}", "--max-failed-fraction", "nan"], "--max-failed-fraction nan: must be from 0 to 1."),
        (["--store", "s3://nobody-has-this-bucket/x"], "s3://nobody-has-this-bucket/x"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], said: str, run_job: RunJob, store: Path, s3: str) -> None:
    done = run_job("verify.py", *(one.format(store=store) for one in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_store_that_is_being_filled_is_not_repaired(run_job: RunJob, store: Path) -> None:
    ledger = Ledger.at(str(store))
    with ledger.locked():
        assert "another run is using this folder" in run_job("verify.py", "--store", store, "--repair").stderr
        assert run_job("verify.py", "--store", store, "--max-failed-fraction", 1).returncode == 0


def test_an_edited_manifest(run_job: RunJob, store: Path) -> None:
    path = store / "manifest.json"
    path.write_text(path.read_text().replace('"stride": 5', '"stride": 4'))
    done = run_job("verify.py", "--store", store, "--repair")
    assert done.returncode == 2
    assert "the file was edited" in done.stderr
    assert len(list(store.glob("part-*"))) == 3
