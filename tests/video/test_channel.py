import socket
import threading

import numpy as np
import pytest

from attn.video.channel import Channel


@pytest.fixture
def ends():
    one, other = map(Channel, socket.socketpair())
    yield one, other
    one.close()
    other.close()


def test_messages_arrive_whole_and_in_order(ends):
    one, other = ends
    sent = ["", {"a": 1}, np.arange(200_000), None]
    thread = threading.Thread(target=lambda: [one.send(message) for message in sent])
    thread.start()
    received = [other.receive(5) for _ in sent]
    thread.join()
    assert received[:2] == sent[:2]
    assert np.array_equal(received[2], sent[2])
    assert received[3] is None


def test_silence_is_a_timeout(ends):
    with pytest.raises(TimeoutError):
        ends[0].receive(0.05)


def test_waiting_may_be_for_ever_after_a_timeout_was_given(ends):
    one, other = ends
    one.send(1)
    assert other.receive(0.2) == 1
    timer = threading.Timer(0.5, one.send, [2])
    timer.start()
    assert other.receive() == 2
    timer.join()


def test_a_closed_end_is_noticed(ends):
    one, other = ends
    one.close()
    with pytest.raises(ConnectionError):
        other.receive(5)
    with pytest.raises(ConnectionError):
        other.send("anybody?")


def test_half_a_message_is_a_lost_connection():
    one, other = socket.socketpair()
    channel = Channel(other)
    one.sendall(b"\x80\x05\x95\xff")
    one.close()
    with pytest.raises(ConnectionError):
        channel.receive(5)
    channel.close()
