"""The bytes of the Engine's log API, as tests write and read them."""

import struct

from sidecar.sources.docker.cursor import DockerCursor, UnreadLines
from sidecar.sources.docker.wire import STDERR, STDOUT

# A unix time in 2026.
DAY = 1_795_000_000
NEW = DockerCursor(DAY)


def stamp(at):
    """Docker's, of this many nanoseconds after DAY."""
    second, nano = divmod(at, 10**9)
    minute, second = divmod(second + DAY % 86_400, 60)
    hour, minute = divmod(minute, 60)
    return b"2026-11-%02dT%02d:%02d:%02d.%09dZ" % (18 + hour // 24, hour % 24, minute, second, nano)


def line(at, text=b"a line"):
    return stamp(at) + b" " + text + b"\n"


def frame(stream, payload):
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def chunked(*bodies):
    return b"".join(b"%x\r\n%s\r\n" % (len(body), body) for body in bodies)


def cut(wire, size):
    return [wire[at : at + size] for at in range(0, len(wire), size)]


def read(pieces, reader=None, chunks=None):
    """All lines of each stream."""
    reader = reader or UnreadLines(NEW)
    found = {STDOUT: [], STDERR: []}
    for piece in pieces:
        for stream, lines, _ in reader.feed(chunks.feed(piece) if chunks else piece):
            found[stream] += lines
    return found
