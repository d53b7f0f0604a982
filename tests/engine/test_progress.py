"""What a heartbeat says follows from what was done."""

import json
import logging
import time
from pathlib import Path

import pytest

from attn.engine import progress as module
from attn.engine.progress import Progress
from attn.storage.ledger import Ledger
from attn.storage.writer import Written


def test_heartbeats_tell_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
    caplog.set_level(logging.INFO)
    written = Written()
    with Progress(Ledger.at(str(tmp_path)), done=2, failed=1, total=10, written=lambda: written) as progress:
        for _ in range(4):
            time.sleep(0.05)
            progress.add(100)
            written.videos += 1
        written.failed = 1
    progress.tell(lambda: written)
    state = json.loads((tmp_path / "progress.json").read_text())
    assert {name: state[name] for name in ("videos_done", "videos_total", "videos_failed", "frames")} == {
        "videos_done": 6,
        "videos_total": 10,
        "videos_failed": 2,
        "frames": 400,
    }
    assert state["eta_s"] is not None
    assert progress.steady_rate is not None
    assert 300 / 10 < progress.steady_rate < 300 / 0.14
    assert len(caplog.records) >= 3
    assert "6/10 videos" in caplog.text


def test_a_store_that_cannot_be_written_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.01)

    def broken() -> Written:
        raise OSError("the disk is gone")

    with Progress(Ledger.at(str(tmp_path)), done=0, failed=0, total=1, written=broken):
        time.sleep(0.1)


def test_until_the_first_frames_there_is_no_time_left_to_tell(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    written = Written()
    progress = Progress(Ledger.at(str(tmp_path)), done=0, failed=0, total=3, written=lambda: written)
    progress.tell(lambda: written)
    assert caplog.messages == ["waiting for the first frames: processes are starting (for 0 s)"]
    progress.add(1)
    progress.tell(lambda: written)
    assert caplog.messages[1].startswith("0/3 videos, ")
    assert json.loads((tmp_path / "progress.json").read_text())["frames"] == 1
