"""Jobs through the job server: what is uploaded, what the log shows, what the exit code says, what a stop leaves."""

import re

import pytest

from attn.storage.ledger import Ledger

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # a machine of two cores is busy with four nodes

HEARTBEAT = re.compile(r"\d+/600 videos, [\d.]+ frames/s, 0 failed, ETA")


def test_a_job_is_stopped_and_the_same_command_finishes_its_store(
    four_nodes, flags, videos, tmp_path, wait_for, check_videos
):
    store = tmp_path / "store"
    flags += ["--videos", str(videos)]
    job = four_nodes.submit("python", "jobs/precompute.py", *flags)
    wait_for(lambda: job.alive() and list(store.glob("part-*")), "a part")
    four_nodes.stop_decoders()
    job.ask("stop")
    printed = job.wait()[1]  # Ray's exit code of a job that was stopped is 0
    assert "was stopped" in job.ask("status")
    assert "interrupted; run the same command to resume" in printed
    assert "PC: @" not in printed
    assert HEARTBEAT.search(printed), printed
    early, parts = Ledger.at(str(store)).done(), {path: path.stat().st_mtime_ns for path in store.glob("part-*")}
    assert 0 < len(early) < 600

    code, printed = four_nodes.submit("jobs/precompute.py", *flags).wait()  # the direct form
    assert code == 0, printed
    assert f"{len(early)} videos already done" in printed
    assert all(path.stat().st_mtime_ns == then for path, then in parts.items())
    check_videos(store, videos)


def test_exit_code_and_reason_reach_the_status(four_nodes, flags):
    job = four_nodes.submit("jobs/precompute.py", "--", *flags, "--weights", "nothing.safetensors")
    code, printed = job.wait()
    assert code == 1, printed
    errors = {line for line in printed.splitlines() if line.startswith("error: ")}  # Ray shows the end twice
    assert len(errors) == 1
    assert "nothing.safetensors" in errors.pop()
    status = job.ask("status")
    assert "exit code 2" in status, status


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--actors", "5", "5"], "5 actors of 0 GPU and 0.75 CPU can never be placed"),
        (["--gpus-per-actor", "1"], "the cluster has 0 GPU"),
    ],
)
def test_what_can_never_be_placed_is_said_at_once(four_nodes, flags, tmp_path, asked, said):
    code, printed = four_nodes.submit("jobs/precompute.py", *flags, *asked).wait(timeout_s=60)
    assert code == 1
    assert said in printed
    assert not (tmp_path / "store").exists()
