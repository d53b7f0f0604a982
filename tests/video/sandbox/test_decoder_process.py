"""The process itself, driven over its channel."""

import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from attn.video.reading import VideoEnd, VideoHeader
from attn.video.sample import Stride
from attn.video.sandbox.channel import Channel
from attn.video.sandbox.decoder_process import end_with_owner
from attn.video.sandbox.slot import Slot, anonymous_file
from attn.video.sandbox.wire import (
    Alive,
    Decode,
    Failed,
    Filled,
    Free,
    Look,
    Ready,
    Stop,
    Stopped,
    dump,
    parse_from_decoder,
)


class Conversation:
    """The owner's end of the channel."""

    def __init__(self, end: socket.socket):
        self._channel = Channel(end)
        self.close = self._channel.close

    def send(self, message):
        self._channel.send(dump(message))

    def receive(self, timeout_s):
        return parse_from_decoder(self._channel.receive(timeout_s))


@pytest.fixture
def process():
    """A decoder process with one slot: its channel, the slot, the process."""
    ours, theirs = socket.socketpair()
    slot = Slot(anonymous_file())
    descriptors = [theirs.fileno(), slot.descriptor]
    command = [sys.executable, "-m", "attn.video.sandbox.decoder_process", *map(str, descriptors)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=descriptors) as child:
        theirs.close()
        channel = Conversation(ours)
        assert isinstance(channel.receive(60), Ready)
        yield channel, slot, child
        child.kill()
        channel.close()
        slot.close()


def request(path, step=1, size: int | None = 8, alive_every_s=60.0):
    return Decode(str(path), Stride(step), size, "auto", alive_every_s)


def test_it_imports_neither_torch_nor_ray():
    code = (
        "import sys, attn.video.sandbox.decoder_process; sys.exit(bool({'torch', 'ray', 'decord'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_chunk_waits_for_a_free_slot(process, write_clip, numbered):
    channel, slot, _ = process
    channel.send(request(write_clip(numbered(70)), size=None))
    seen = []
    for count in (32, 32, 6):
        message = channel.receive(60)
        assert isinstance(message, Filled)
        assert message.shape == (count, 48, 64, 3)
        seen.append(slot.array(message.shape).copy())
        channel.send(Free((message.slot,)))
    assert channel.receive(60) == VideoEnd(truncated=False, decoder="pyav")
    assert np.array_equal(np.concatenate(seen), numbered(70))


def test_it_stops_when_told_and_goes_on_with_the_next(process, write_clip, numbered):
    channel, _, _ = process
    path = write_clip(numbered(70))
    channel.send(request(path))
    assert isinstance(channel.receive(60), Filled)
    channel.send(Stop())
    assert isinstance(channel.receive(60), Stopped)
    channel.send(Free((0,)))
    channel.send(request(path, step=70))
    assert channel.receive(60).index == [0]
    assert isinstance(channel.receive(60), VideoEnd)


def test_it_gives_signs_of_life_when_no_frame_is_kept(process, write_clip, numbered):
    channel, _, _ = process
    channel.send(request(write_clip(numbered(60, 16, 16)), step=1000, alive_every_s=0.0))
    messages = [channel.receive(60)]
    while not isinstance(messages[-1], VideoEnd):
        messages.append(channel.receive(60))
    assert sum(isinstance(message, Alive) for message in messages) >= 3


def test_a_bad_video_is_answered_and_the_next_one_decoded(process, write_clip, numbered, tmp_path):
    channel, _, _ = process
    channel.send(request(tmp_path / "missing.avi"))
    answer = channel.receive(60)
    assert isinstance(answer, Failed)
    assert "missing.avi: cannot be opened as a video: No such file or directory" in answer.message
    channel.send(request(write_clip(numbered(2))))
    assert isinstance(channel.receive(60), Filled)


def test_an_unforeseen_error_is_that_videos_failure(process, write_clip, numbered):
    channel, _, _ = process
    channel.send(request(write_clip(numbered(2)), size=-1))
    answer = channel.receive(60)
    assert isinstance(answer, Failed)
    assert "cannot be decoded: ValueError" in answer.message


def test_it_looks_at_headers_between_two_videos(process, write_clip, numbered, tmp_path):
    channel, _, _ = process
    for _ in range(2):
        channel.send(Look(str(write_clip(numbered(7), ".avi", rate=10))))
        assert channel.receive(60) == VideoHeader(10.0, 7.0)
        channel.send(Look(str(tmp_path / "missing.avi")))
        answer = channel.receive(60)
        assert isinstance(answer, Failed)
        assert "missing.avi: cannot be opened as a video: No such file or directory" in answer.message
    channel.send(request(write_clip(numbered(2))))
    assert isinstance(channel.receive(60), Filled)


@pytest.mark.parametrize("first", [None, signal.SIGSTOP])
def test_it_dies_when_its_standard_input_closes(process, first):
    """At once, even when it executes nothing any more."""
    _, _, child = process
    if first is not None:
        os.kill(child.pid, first)
    child.stdin.close()
    assert child.wait(5) == -signal.SIGKILL


def test_it_dies_although_the_interpreter_is_locked():
    code = (
        "import re; from attn.video.sandbox.decoder_process import end_with_owner; end_with_owner(); print(flush=True);"
        "re.match('(a+)+b', 'a' * 60)"  # one call in C that takes years and never lets go of the interpreter
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.2)
        child.stdin.close()
        assert child.wait(5) == -signal.SIGKILL


def test_it_ends_when_its_channel_closes(process):
    channel, _, child = process
    channel.close()
    assert child.wait(10) == 0


def test_systems_without_the_signal_do_without(monkeypatch):
    monkeypatch.delattr("fcntl.F_SETSIG")
    end_with_owner()
