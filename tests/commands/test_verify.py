"""What `verify` says of a store, and whether its advice can help."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attn.commands.verify import Verdict, verify
from attn.commands.verify_options import VerifyOptions
from attn.errors import UsageError
from attn.storage.failures import Failure, FailureLog
from attn.storage.ledger import Ledger

AGAIN = "Run the same precompute again to complete the store"
IN_VAIN = "cannot be read, even by another run: replace or remove them"


@pytest.fixture
def videos(tmp_path: Path, write_clip: Callable[..., Path], smooth: Callable) -> Path:
    """One that can be read, one that cannot."""
    folder = tmp_path / "videos"
    (folder / "tennis").mkdir(parents=True)
    shutil.copy(write_clip(smooth(3)), folder / "tennis" / "good.mkv")
    (folder / "bad.mp4").write_bytes(b"no video at all" * 100)
    return folder


@pytest.fixture
def look(tmp_path: Path, write_store: Callable[..., str], new_manifest: Callable) -> Callable[..., Verdict]:
    """look(ids, videos, failed={id: error}, summary={…}): what `verify` finds in a finished store of these videos."""

    numbers = itertools.count()

    def found(ids: list[str], videos: Path | None, failed: dict[str, str] | None = None, **summary: object) -> Verdict:
        url, manifest = str(tmp_path / f"store{next(numbers)}"), new_manifest(columns=("logits",))
        rows = {name: {"logits": np.ones((5, len(manifest.class_names)), np.float32)} for name in ids}
        write_store(url, manifest, rows, finished=False)
        ledger = Ledger.at(url)
        failures = FailureLog(ledger.folder)
        for name, error in (failed or {}).items():
            failures.add(Failure(name, "x", "decode", error, "why", 1))
        failures.flush()
        counts = {
            "videos": len(ids),
            "rows": 5 * len(ids),
            "failed": len(failed or {}),
            "failed_videos": [*(failed or {})],
        }
        ledger.finish({"fingerprint": manifest.fingerprint, **counts, **summary})
        return verify(VerifyOptions(url, None if videos is None else str(videos)))

    return found


def last_line(verdict: Verdict) -> str:
    return str(verdict).splitlines()[-1]


def test_a_run_makes_a_missing_video_that_can_be_read(look, videos: Path) -> None:
    (videos / "bad.mp4").unlink()
    verdict = look([], videos)
    assert last_line(verdict) == f"NOT complete: 1 missing videos. {AGAIN}."


def test_no_run_makes_a_missing_video_that_cannot_be_read(look, videos: Path) -> None:
    verdict = look(["good"], videos)
    assert "  missing: bad: " in str(verdict)
    assert AGAIN not in str(verdict)
    assert f"1 missing videos. 1 of the videos {IN_VAIN}" in last_line(verdict)
    verdict = look([], videos)
    assert f"2 missing videos. {AGAIN}. 1 of the videos {IN_VAIN}" in last_line(verdict)


@pytest.mark.parametrize(("error", "helps"), [("VideoError", False), ("FleetingError", True), ("WorkerDied", True)])
def test_failed_videos_are_tried_again_in_vain_or_not(look, error: str, helps: bool) -> None:
    line = last_line(look(["good"], None, {"bad": error}))
    assert "1 of 2 videos failed, at most 0 are allowed (a share of 0.01)" in line
    assert (AGAIN in line, IN_VAIN in line) == (helps, not helps)


def test_files_that_were_left_out_are_named(look, videos: Path) -> None:
    (videos / "bad.mp4").rename(videos / "tennis" / "bad.gif")
    verdict = look(["good"], videos)
    told = "1 file left out that may be videos: 1 .gif (tennis/bad.gif)"
    assert told in str(verdict)
    assert verdict.exit_code == 0
    assert told in str(look(["good"], None, left_out={"files": 1, "kinds": {".gif": 1}, "first": ["tennis/bad.gif"]}))


@pytest.mark.parametrize("record", [3, None, {}, {"kinds": [], "first": 3}, {"kinds": {"a": "b"}}])
def test_an_odd_note_of_them_is_passed_over(look, record: object) -> None:
    assert "left out" not in str(look(["good"], None, left_out=json.loads(json.dumps(record))))


def test_a_store_keeps_its_ids_when_videos_of_the_same_name_come_or_go(look, videos: Path) -> None:
    (videos / "bad.mp4").rename(videos / "good.avi")
    assert look(["tennis/good", "./good"], videos).exit_code == 0
    (videos / "good.avi").unlink()
    assert look(["tennis/good", "./good"], videos).missing == []
    (videos / "good.avi").touch()
    with pytest.raises(
        UsageError, match=r"store2: contains a video 'good', but several videos now have this name: .*\. Rename"
    ):
        look(["good"], videos)
