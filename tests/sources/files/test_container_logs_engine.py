"""Log files that a real Docker Engine writes, rotates and compresses."""

import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.core.jail import Jail
from sidecar.sources.files.container_logs import ContainerLogs
from sidecar.sources.files.layouts import DockerLayout
from tests.bed import Bed
from tests.bed.daemon import bare
from tests.sources.files.test_container_logs import Reading

IMAGE = "debian:trixie-slim"
LINES = 4_000
# Quotes, backslashes, escapes and bytes that are no text; now and then a line of several parts, at whose cut another
# seems to begin.
WRITER = r"""
$| = 1;
for $n (1 .. shift) {
    $more = $n % 7 == 0 ? qq(a "b" <c> & \\ \\n \t \e[1m caf\xc3\xa9 \xff) : "x" x ($n % 90);
    $more .= "y" x (16384 - length("$n ")) . "forged " . "z" x 9000 if $n % 400 == 0;
    syswrite($n % 3 ? STDOUT : STDERR, "$n $more\n");
    select(undef, undef, undef, 0.001) if $n % 5 == 0;
}
sleep 3600;
"""


@pytest.fixture(scope="module")
def engine():
    with Bed.up(daemon=bare()) as bed:
        yield bed.engine


@contextmanager
def following(engine, read):
    root = Path(f"/proc/{engine.process.pid}/root{engine._data}/containers")
    jails = [Jail("wordpress")]
    source = ContainerLogs(DockerLayout(root), jails, read.outputs, read, cursors=read.cursors, since=0.0)
    thread = threading.Thread(target=source.run)
    thread.start()
    try:
        yield
    finally:
        source.close()
        thread.join(60)
        assert not thread.is_alive()


def line(number):
    """Return a line as Docker stores it: bytes that are not UTF-8 become a replacement character."""
    more = 'a "b" <c> & \\ \\n \t \x1b[1m caf\xe9 \ufffd' if number % 7 == 0 else "x" * (number % 90)
    if number % 400 == 0:
        more += "y" * (16_384 - len(f"{number} ")) + "forged " + "z" * 9_000
    return f"{number} {more}"


def test_each_line_is_read_once_while_docker_rotates_its_logs(engine):
    read = Reading()
    options = [
        "--log-opt=max-size=100k",
        "--log-opt=max-file=9",
        "--log-opt=compress=true",
        "--label=wp-sidecar.enable=true",
    ]
    with following(engine, read):
        engine.cli(
            "run",
            "--detach",
            "--name=blog",
            "--publish=8080:80",
            *options,
            IMAGE,
            "perl",
            "-e",
            WRITER,
            str(LINES),
        )
        read.wait(lambda: len(read.lines) >= LINES // 3)
    with following(engine, read):
        read.wait(lambda: len(read.lines) >= LINES)
    engine.clear()

    for stream, wanted in (("stdout", [1, 2]), ("stderr", [0])):
        texts = [text for _, of, text in read.lines if of == stream]
        numbers = [number for number in range(1, LINES + 1) if number % 3 in wanted]
        assert [text.partition(" ")[0] for text in texts] == [str(number) for number in numbers]
        assert texts == [line(number) for number in numbers]
    reasons = {each[2] for each in read.events if each[0] == "reopened"}
    assert reasons == {"rotated"}
    assert read.topologies[-1].published == {8080}
    assert "172.17.0.0/16" in read.topologies[-1].networks
