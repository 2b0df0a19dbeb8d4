"""Messages over a socket: pickled, each behind its length. One end waits, the other never does.

Both ends are processes of ours; nothing that a model wrote is unpickled other than as text inside a message.
"""

import pickle
import socket
import struct
from collections.abc import Iterator
from typing import Any

_LENGTH = struct.Struct("!Q")
_READ_BYTES = 1 << 16


def pack(message: Any) -> bytes:
    """The bytes of one message."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


def receive(connection: socket.socket) -> Any:
    """Waits for one message.

    Raises:
        EOFError: the other end is closed.
    """
    return pickle.loads(_exactly(connection, _LENGTH.unpack(_exactly(connection, _LENGTH.size))[0]))


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(min(size - len(data), 1 << 20))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


class Channel:
    """The end that never waits: it keeps what cannot be sent yet, and what has not arrived whole."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self._outgoing = bytearray()
        self._incoming = bytearray()

    @property
    def has_unsent(self) -> bool:
        """Something waits until the socket can be written to again."""
        return bool(self._outgoing)

    def send(self, message: Any) -> None:
        """Sends as much as goes now and keeps the rest. A closed other end is noticed when reading."""
        self._outgoing += pack(message)
        self.flush()

    def flush(self) -> None:
        """Sends what was kept, as much as goes."""
        try:
            while self._outgoing:
                del self._outgoing[: self.socket.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError:  # the worker is dead
            self._outgoing.clear()

    def receive(self) -> tuple[list[Any], bool]:
        """The messages that have arrived whole, and whether the other end is still open."""
        is_open = True
        try:
            while part := self.socket.recv(_READ_BYTES):
                self._incoming += part
            is_open = False
        except BlockingIOError:
            pass
        except OSError:  # reset: the worker died with unread messages
            is_open = False
        return list(self._messages()), is_open

    def _messages(self) -> Iterator[Any]:
        start = 0
        while len(self._incoming) - start >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._incoming, start)
            end = start + _LENGTH.size + size
            if len(self._incoming) < end:
                break
            yield pickle.loads(memoryview(self._incoming)[start + _LENGTH.size : end])
            start = end
        del self._incoming[:start]
