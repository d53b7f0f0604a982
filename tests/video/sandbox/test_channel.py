import pickle
import socket
import struct
import threading
import time

import pytest

from attn.video.sandbox.channel import MOST_MESSAGE_BYTES, Channel, MessageError


@pytest.fixture
def ends():
    one, other = map(Channel, socket.socketpair())
    yield one, other
    one.close()
    other.close()


@pytest.fixture
def raw():
    """A channel, and the bare socket at its other end."""
    one, other = socket.socketpair()
    channel = Channel(other)
    yield channel, one
    one.close()
    channel.close()


def test_messages_arrive_whole_and_in_order(ends):
    one, other = ends
    sent = [b"", b"a", bytes(range(256)) * 256, b"end"] * 20
    thread = threading.Thread(target=lambda: [one.send(message) for message in sent])
    thread.start()
    received = [other.receive(5) for _ in sent]
    thread.join()
    assert received == sent


def test_silence_is_a_timeout(ends):
    with pytest.raises(TimeoutError):
        ends[0].receive(0.05)


def test_who_sends_a_byte_now_and_then_is_not_waited_for(raw):
    channel, other = raw
    other.sendall(struct.pack("=I", 10))
    drops = threading.Thread(target=lambda: [(other.send(b"\1"), time.sleep(0.1)) for _ in range(9)])
    drops.start()
    started_s = time.monotonic()
    with pytest.raises(TimeoutError):
        channel.receive(0.35)
    assert time.monotonic() - started_s < 0.8
    drops.join()


def test_waiting_may_be_for_ever_after_a_timeout_was_given(ends):
    one, other = ends
    one.send(b"1")
    assert other.receive(0.2) == b"1"
    timer = threading.Timer(0.5, one.send, [b"2"])
    timer.start()
    assert other.receive() == b"2"
    timer.join()


def test_a_closed_end_is_noticed(ends):
    one, other = ends
    one.close()
    with pytest.raises(ConnectionError):
        other.receive(5)
    with pytest.raises(ConnectionError):
        other.send(b"anybody?")


def test_who_does_not_read_is_not_waited_for_either(ends):
    def fill():
        for _ in range(1000):
            ends[0].send(bytes(MOST_MESSAGE_BYTES), 0.1)

    with pytest.raises(TimeoutError):
        fill()


@pytest.mark.parametrize("half", [b"\1", struct.pack("=I", 9), struct.pack("=I", 9) + b"12345678"])
def test_half_a_message_is_a_lost_connection(raw, half):
    channel, other = raw
    other.sendall(half)
    other.close()
    with pytest.raises(ConnectionError):
        channel.receive(5)


def test_nobody_makes_us_wait_for_gigabytes(raw):
    channel, other = raw
    other.sendall(struct.pack("=I", MOST_MESSAGE_BYTES + 1) + b"x")
    with pytest.raises(MessageError, match="a message of 65537 bytes"):
        channel.receive(5)
    with pytest.raises(ValueError, match="too long"):
        channel.send(bytes(MOST_MESSAGE_BYTES + 1))


class Trap:
    """Runs code where someone unpickles it."""

    def __reduce__(self):
        return pytest.fail, ("a message was executed",)


def test_a_message_is_never_executed(raw):
    channel, other = raw
    trap = pickle.dumps(Trap())
    other.sendall(struct.pack("=I", len(trap)) + trap + trap)
    assert channel.receive(5) == trap
    with pytest.raises(MessageError):
        channel.receive(5)
