import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from attn.errors import FleetingError
from attn.video.sample import Stride
from attn.video.sandbox.confinement import landlock_version
from attn.video.sandbox.decoder_child import DecoderChild, _warn_once
from attn.video.sandbox.wire import Decode


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


@pytest.fixture
def weakened(monkeypatch, tmp_path):
    """weakened(code): an interpreter that runs this before the decoder."""

    def replace(code: str) -> None:
        (tmp_path / "code.py").write_text(
            "import sys\nfrom attn.video.sandbox import call_filter, confinement, decoder_process\n"
            f"{code}\ndecoder_process.main(sys.argv[1:])\n"
        )
        interpreter = tmp_path / "python"
        interpreter.write_text(f'#!/bin/sh\nshift 3\nexec {sys.executable} {tmp_path}/code.py "$@"\n')
        interpreter.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(interpreter))

    _warn_once.cache_clear()
    yield replace
    _warn_once.cache_clear()


NO_LANDLOCK = "confinement.landlock_version = lambda: 0"
NO_FILTER = "call_filter._call_filter = lambda *told: bytes(8)"
KEYS, NETWORK, FILES = "could read the environment and memory of", "use the network", "change and remove your files"


@pytest.mark.parametrize(
    ("code", "told", "not_told"),
    [
        (NO_LANDLOCK, ["Missing: Landlock", KEYS], ["seccomp", NETWORK, FILES]),
        (NO_FILTER, ["seccomp", NETWORK], ["Landlock", KEYS, FILES]),
        (f"{NO_LANDLOCK}\n{NO_FILTER}", ["Missing: Landlock", "seccomp", KEYS, NETWORK, FILES], []),
    ],
)
@pytest.mark.skipif(landlock_version() < 1, reason="this kernel has no Landlock")
def test_what_it_could_not_be_kept_from_is_said_once(code, told, not_told, weakened, caplog):
    weakened(code)
    with caplog.at_level(logging.WARNING, "attn.video.sandbox.decoder_child"):
        for _ in range(2):
            DecoderChild().kill()
    (record,) = caplog.records
    assert record.name == "attn.video.sandbox.decoder_child"
    for text in told:
        assert text in record.message
    for text in not_told:
        assert text not in record.message


@pytest.mark.skipif(landlock_version() < 1, reason="this kernel has no Landlock")
def test_nothing_is_said_where_it_is_wholly_confined(weakened, caplog):
    weakened("")
    DecoderChild().kill()
    assert not caplog.records


def test_a_greeting_of_another_kind_is_none(weakened):
    weakened("decoder_process.Ready = lambda layers: decoder_process.Stopped()")
    with pytest.raises(FleetingError, match="the decoder process does not start: an unexpected first message"):
        DecoderChild()


def test_when_it_cannot_start_the_reason_is_told(monkeypatch, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'no module named attn' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(FleetingError, match="the decoder process does not start: no module named attn"):
        DecoderChild()
