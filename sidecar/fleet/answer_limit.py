"""A bound on what one answer of Redis may be.

Anybody who can write to the server chooses how long a value is, up to 512 MB each, and redis-py keeps a whole answer in
memory before it returns any of it. So the socket counts what came since the last command.
"""

from __future__ import annotations

from typing import Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError

# The longest answer that nodes cause is 64 entries of 128 lines of 300 bytes.
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024


class BoundedSocket:
    """A socket for questions and answers: it raises redis-py's ConnectionError where an answer is too long."""

    def __init__(self, sock: Any) -> None:  # noqa: ANN401  TLS has another class
        self._socket = sock
        self._bytes_left = MAX_ANSWER_BYTES

    def sendall(self, data: bytes) -> None:
        """Send a command, or a part of one; its answer may be as long as any."""
        self._bytes_left = MAX_ANSWER_BYTES
        self._socket.sendall(data)

    def recv(self, size: int) -> bytes:
        data: bytes = self._socket.recv(size)
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise RedisConnectionError(
                f"an answer is over {MAX_ANSWER_BYTES // 2**20} MiB, and no node writes values that long. Find out who "
                "writes to it, delete what they wrote, and set proto-max-bulk-len 1mb"
            )
        return data

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever a socket has
        return getattr(self._socket, name)


def bound_answers(connection: Any) -> None:  # noqa: ANN401  redis-py's, of several classes
    """Bound the answers on a connection that was just opened; then greet the server, as redis-py does."""
    connection._sock = BoundedSocket(connection._sock)  # noqa: SLF001  redis-py has no other place for it
    connection.on_connect()
