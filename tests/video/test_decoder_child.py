import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from attn.errors import FleetingError
from attn.video.decoder_child import DecoderChild
from attn.video.sample import Stride
from attn.video.wire import Decode


@pytest.fixture
def child():
    started = DecoderChild()
    yield started
    started.kill()


def is_gone(pid):
    """Gone or a zombie; waits a little."""
    for _ in range(100):
        status = Path(f"/proc/{pid}/status")
        if not status.exists() or "\nState:\tZ" in status.read_text():
            return True
        time.sleep(0.05)
    return False


def test_it_runs_until_killed(child):
    assert child.runs()
    pid = child.pid
    child.kill()
    assert not child.runs()
    assert is_gone(pid)
    child.kill()  # twice does no harm


def test_it_is_killed_when_nobody_holds_it():
    child = DecoderChild()
    pid = child.pid
    del child
    assert is_gone(pid)


def test_silence_is_a_timeout_and_the_end_of_it(child):
    os.kill(child.pid, signal.SIGSTOP)
    child.tell(Decode("any", Stride(1), None, "auto", 1.0))
    with pytest.raises(TimeoutError):
        child.hear(0.2)
    assert not child.runs()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_its_death_has_a_cause(child, how):
    os.kill(child.pid, how)
    with pytest.raises(ChildProcessError, match=f"signal {how.value}$"):
        child.hear(30)
    assert not child.runs()


def test_it_gets_no_descriptors_of_ours(child):
    with socket.socket() as ours:
        os.set_inheritable(ours.fileno(), True)
        other = DecoderChild()
        mine = os.readlink(f"/proc/self/fd/{ours.fileno()}")
        links = [os.readlink(entry) for entry in Path(f"/proc/{other.pid}/fd").iterdir()]
        other.kill()
    assert mine not in links
    assert sum("memfd:attn-frames" in link for link in links) == 4


def test_what_it_prints_is_not_in_our_log(child):
    assert os.readlink(f"/proc/{child.pid}/fd/1") == os.devnull
    assert os.readlink(f"/proc/{child.pid}/fd/2") != os.readlink("/proc/self/fd/2")


def test_ctrl_c_is_not_its_business(child):
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


def test_nothing_is_left_open():
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    for _ in range(2):
        DecoderChild().kill()
    assert descriptors() == before


def test_when_it_cannot_start_the_reason_is_told(monkeypatch, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'no module named attn' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(FleetingError, match="the decoder process does not start: no module named attn"):
        DecoderChild()
