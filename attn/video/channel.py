"""Framed bytes over a socket between two processes, one of which may be in an attacker's hands.

A message is its length, then so many bytes; what they mean, and that they mean anything, `wire` decides. Nothing here
or there can make the receiver execute something, as unpickling would.
"""

import socket
import struct
import time

MOST_MESSAGE_BYTES = 64 << 10

_LENGTH = struct.Struct("=I")


class MessageError(Exception):
    """The other end sends what is no message: it is broken or in wrong hands, and must be heard no further."""


class Channel:
    """One end; to be used by one thread at a time.

    Args:
        end: a connected socket; the channel closes it.
    """

    def __init__(self, end: socket.socket):
        self._socket = end
        self._received = bytearray()

    def send(self, message: bytes, timeout_s: float | None = None) -> None:
        """Sends a message of at most 64 KiB.

        Raises:
            TimeoutError: the other end does not read. The channel is of no use any more.
            ConnectionError: no one is there.
        """
        if len(message) > MOST_MESSAGE_BYTES:
            raise ValueError(f"a message of {len(message)} bytes is too long")
        self._socket.settimeout(timeout_s)
        self._socket.sendall(_LENGTH.pack(len(message)) + message)

    def receive(self, timeout_s: float | None = None) -> bytes:
        """The next message.

        Args:
            timeout_s: for the whole message; None waits for ever.

        Raises:
            TimeoutError: it was not there in time. The channel is of no use any more.
            ConnectionError: the other end is closed.
            MessageError: it would be too long.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size, deadline_s))
        if length > MOST_MESSAGE_BYTES:
            raise MessageError(f"a message of {length} bytes")
        return self._take(length, deadline_s)

    def close(self) -> None:
        """Closes this end."""
        self._socket.close()

    def _take(self, count: int, deadline_s: float | None) -> bytes:
        while len(self._received) < count:
            self._wait_at_most(deadline_s)
            data = self._socket.recv(MOST_MESSAGE_BYTES)
            if not data:
                raise ConnectionResetError
            self._received += data
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _wait_at_most(self, deadline_s: float | None) -> None:
        left_s = None if deadline_s is None else deadline_s - time.monotonic()
        if left_s is not None and left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(left_s)
