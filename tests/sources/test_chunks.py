"""However a log's bytes are cut on their way to us, the same lines are hits.

Each source is what makes batches of pieces of bytes: the one class of its own that joins them, without its thread.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable, Iterator

import pytest

from sidecar.cli.log_lines import line_chunks, with_framing
from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from sidecar.sources import syslog
from sidecar.sources.docker.cursor import DockerCursor, UnreadLines
from sidecar.sources.docker.line_joiner import PART_BYTES
from sidecar.sources.docker.wire import STDERR, STDOUT, ChunkDecoder, joined
from sidecar.sources.files.cri_lines import ContainerLines
from sidecar.sources.files.cursor import FilePosition
from sidecar.sources.files.decoder import PlainLines
from sidecar.sources.files.segments import READ_SIZE_BYTES, SegmentReader
from tests.filters.samples import NOW, all_samples

MATCHER = Matcher({"access": load("wordpress-access"), "plugin": load("wordpress")})
SITE = Origin("test", "-", jails=("access", "plugin"))
LINES = [
    line
    for name, line, address in all_samples()
    if name == "wordpress" and len(line) < 300 and address != "-"
][:6]
LOG = "".join(f"{line}\nhello\n\n" for line in LINES).encode()
FAILED = b'203.0.113.%d - - [22/Nov/2026:08:57:49 +0000] "POST /wp-login.php HTTP/1.1" 200 5234 "-" "%s"'
# What follows the cut at 16 KiB would be a failure of a stranger, if it were a line of its own.
FORGED = FAILED % (7, b"x" * (PART_BYTES - len(FAILED % (7, b"")) + 1) + FAILED % (99, b"x"))
STAMP = b"2026-11-22T08:57:%02d.123456789Z"
Pieces = Iterable[bytes]
Source = Callable[[Pieces], Iterator[tuple[bytes, Framing]]]


class Cut:
    """A pipe that gives what was written in two pieces."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def read1(self, _size: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def cli(pieces):
    return with_framing(line_chunks(Cut(pieces)), None)


class Growing:
    """A file to which the pieces are written one after another."""

    gzipped = False

    def __init__(self) -> None:
        self.data = b""

    def read(self, offset, size):
        return self.data[offset : offset + size]

    def position(self, offset, known):
        return FilePosition(known.inode, offset)


def read_from_file(pieces, decoder):
    file = Growing()
    reader = SegmentReader(file, FilePosition(1))
    for piece in pieces:
        file.data += piece
        while raw := reader.read(READ_SIZE_BYTES):
            data, size = decoder.prepare(raw.data)
            for lines in decoder.feed(data, reader.advance(size)):
                yield lines.data, decoder.framing


def file(pieces):
    return read_from_file(pieces, PlainLines())


def docker(pieces):
    body, reader = ChunkDecoder(), UnreadLines(DockerCursor(NOW - 3_600))
    for piece in pieces:
        for _, lines, _ in reader.feed(body.feed(piece)):
            yield joined(lines), Framing.DOCKER


def cri(pieces):
    return read_from_file(pieces, ContainerLines())


def datagrams(pieces):
    """A socket gives each message whole; which of them wait together is what differs."""
    for piece in pieces:
        messages = piece.split(b"\1")[:-1]
        yield b"".join(syslog.line(message, NOW) for message in messages), Framing.SYSLOG


def framed_by_docker(*lines):
    """As the Engine sends it: a chunk of HTTP a frame, a frame for each part of a line."""
    wire = b""
    for second, (stream, text) in enumerate(lines):
        stamp = STAMP % second
        for at in range(0, len(text) + 1, PART_BYTES):
            part = text[at : at + PART_BYTES] + b"\n" * (at + PART_BYTES > len(text))
            frame = struct.pack(">BxxxL", stream, len(stamp) + 1 + len(part)) + stamp + b" " + part
            wire += b"%x\r\n%s\r\n" % (len(frame), frame)
    return wire + b"0\r\n\r\n"


def chunked(*lines):
    bodies = [STAMP % second + b" " + text + b"\r\n" for second, text in enumerate(lines)]
    return b"".join(b"%x\r\n%s\r\n" % (len(body), body) for body in bodies)


def in_cri(*lines):
    return b"".join(
        b"%s %s %s %s\n" % (STAMP % second, stream, tag, text)
        for second, (stream, tag, text) in enumerate(lines)
    )


def in_json(*lines):
    return b"".join(
        b'{"log":"%s","stream":"%s","time":"%s"}\n' % (text.replace(b'"', b'\\"'), stream, STAMP % second)
        for second, (stream, text) in enumerate(lines)
    )


ONE, TWO, THREE = (FAILED % (n, b"x") for n in (1, 2, 3))
PLUGIN = b"wordpress(h)[8]: Authentication failure for admin from 203.0.113.4"
WIRES: dict[str, tuple[Source, bytes, list[str]]] = {
    "cli": (cli, LOG, []),
    "file": (file, LOG, []),
    "file, no newline yet": (file, ONE + b"\n\n" + b"\r\n" + TWO + b"\r\n" + THREE, ["1", "2"]),
    "docker": (
        docker,
        framed_by_docker((STDOUT, ONE), (STDERR, PLUGIN), (STDOUT, b""), (STDOUT, TWO), (STDERR, b"hello"), (STDOUT, THREE)),
        ["1", "4", "2", "3"],
    ),
    "docker, cut at 16 KiB": (docker, framed_by_docker((STDOUT, FORGED), (STDERR, PLUGIN), (STDOUT, ONE)), ["7", "4", "1"]),
    "docker, a terminal": (docker, chunked(ONE, b"hello", TWO), ["1", "2"]),
    "cri": (
        cri,
        in_cri((b"stdout", b"F", ONE), (b"stderr", b"F", PLUGIN), (b"stdout", b"F:x", TWO)),
        ["1", "4", "2"],
    ),
    "cri, in parts": (
        cri,
        in_cri(
            *((b"stdout", b"P", ONE[:40]), (b"stderr", b"P", PLUGIN[:9]), (b"stdout", b"P", ONE[40:])),
            *((b"stderr", b"F", PLUGIN[9:]), (b"stdout", b"F", b" " + TWO), (b"stdout", b"F", THREE)),
        ),
        ["4", "1", "3"],
    ),
    "json": (
        cri,
        in_json((b"stdout", ONE + b"\\n"), (b"stderr", PLUGIN[:9]), (b"stderr", PLUGIN[9:] + b"\\n")),
        ["1", "4"],
    ),
    "cli, cri": (cli, in_cri((b"stdout", b"F", ONE), (b"stdout", b"P", TWO[:40]), (b"stdout", b"F", TWO[40:])), ["1", "2"]),
    "syslog": (datagrams, b"<37>Nov 22 08:57:49 h " + PLUGIN + b"\1<30>hello\1<37>" + PLUGIN + b"\0\1", ["4", "4"]),
}  # fmt: skip


def hits(source: Source, pieces: Pieces) -> list[tuple[str, str, float, str]]:
    """Sorted: in which order two streams' lines come is no matter."""
    found = [
        hit for data, framing in source(pieces) for hit in MATCHER.scan(Batch(SITE, data, framing), NOW).hits
    ]
    return sorted((hit.jail, hit.address, hit.at, hit.line) for hit in found)


def positions(name: str, wire: bytes) -> Iterable[int]:
    """Every one; inside of 16 KiB of x all but a few are the same. Messages are cut nowhere but between them."""
    if name == "syslog":
        return [at for at in range(len(wire) + 1) if wire[:at].endswith(b"\1")]
    long = wire.find(b"x" * 1_000)
    return [at for at in range(len(wire) + 1) if not long + 100 < at < long + 16_000 or at % 97 == 0]


@pytest.mark.parametrize("name", WIRES)
def test_a_log_cut_anywhere_has_the_same_hits(name):
    source, wire, address = WIRES[name]
    whole = hits(source, [wire])

    assert sorted(each[1].rpartition(".")[2] for each in whole) == sorted(
        address or [each[1].rpartition(".")[2] for each in hits(cli, [LOG])]
    )
    assert len(whole) == len(address or LINES)
    assert [at for at in positions(name, wire) if hits(source, [wire[:at], wire[at:]]) != whole] == []


@pytest.mark.parametrize("name", [name for name in WIRES if name != "syslog"])
@pytest.mark.parametrize("size", [1, 7, 64, 4_096])
def test_a_log_in_pieces_of_any_size_has_the_same_hits(name, size):
    source, wire, _ = WIRES[name]
    pieces = [wire[at : at + size] for at in range(0, len(wire), size)]

    assert hits(source, pieces) == hits(source, [wire])


def test_a_pipe_gives_what_it_has():
    assert [data for data, _ in cli([LOG])] == list(line_chunks(io.BufferedReader(io.BytesIO(LOG))))
