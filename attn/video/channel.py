"""Pickled messages over a socket between two processes that trust each other."""

import pickle
import socket


class Channel:
    """One end; to be used by one thread at a time.

    Args:
        end: a connected socket; the channel closes it.
    """

    def __init__(self, end: socket.socket):
        self._socket = end
        self._incoming = end.makefile("rb")

    def send(self, message: object) -> None:
        """Sends a message.

        Raises:
            ConnectionError: nobody is there.
        """
        self._socket.sendall(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    def receive(self, timeout_s: float | None = None) -> object:
        """The next message.

        Raises:
            TimeoutError: none came in time. The channel is of no use any more.
            ConnectionError: the other end is closed.
        """
        if timeout_s != self._socket.gettimeout():
            self._socket.settimeout(timeout_s)
        try:
            return pickle.load(self._incoming)  # noqa: S301  from our own process
        except (EOFError, pickle.UnpicklingError):
            raise ConnectionResetError from None

    def close(self) -> None:
        """Closes this end."""
        self._incoming.close()
        self._socket.close()
