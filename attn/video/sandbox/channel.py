"""Length-prefixed messages over a socket between two processes, one of which may be compromised.

A message is its length followed by that many bytes; `wire` parses and validates them. Unlike unpickling, neither module
can make the receiver execute code.
"""

import socket
import struct
import time

MOST_MESSAGE_BYTES = 64 << 10

_LENGTH = struct.Struct("=I")


class MessageError(Exception):
    """Invalid message: the sender is broken or compromised, and nothing more must be received from it."""


class Channel:
    """One end of a connection. Use it from one thread at a time.

    Args:
        end: connected socket; the channel closes it.
    """

    def __init__(self, end: socket.socket):
        self._socket = end
        self._received = bytearray()

    def send(self, message: bytes, timeout_s: float | None = None) -> None:
        """Send a message of at most 64 KiB.

        Raises:
            TimeoutError: the other end does not read. The channel cannot be used any more.
            ConnectionError: the other end is closed.
        """
        if len(message) > MOST_MESSAGE_BYTES:
            raise ValueError(f"a message of {len(message)} bytes is too long")
        self._socket.settimeout(timeout_s)
        self._socket.sendall(_LENGTH.pack(len(message)) + message)

    def receive(self, timeout_s: float | None = None) -> bytes:
        """Return the next message.

        Args:
            timeout_s: timeout for the whole message; None waits indefinitely.

        Raises:
            TimeoutError: the message did not arrive in time. The channel cannot be used any more.
            ConnectionError: the other end is closed.
            MessageError: the message is longer than 64 KiB.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size, deadline_s))
        if length > MOST_MESSAGE_BYTES:
            raise MessageError(f"a message of {length} bytes")
        return self._take(length, deadline_s)

    def close(self) -> None:
        """Close this end."""
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
