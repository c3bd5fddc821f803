"""What another process reads is what this one would have read."""

import gzip
import os
import signal
from pathlib import Path

import pytest

from sidecar.cli.meter import NO_METER
from sidecar.cli.replay_logs import FileLog, LogPart, UnreadableError
from sidecar.cli.replay_sieve import PARTS_AT_ONCE, CountedBytes, Ended, SievedLog, messages, sieved
from sidecar.control.exit_codes import Failed
from sidecar.core.events import Framing
from sidecar.filters.database import PatternDatabase
from sidecar.filters.loader import load
from tests.cli import week

FAILURE = b'203.0.113.7 - - [16/Nov/2026:09:00:00 +0000] "POST /wp-login.php HTTP/1.1" 200 5112\n'
VISIT = b'192.0.2.9 - - [16/Nov/2026:09:00:00 +0000] "GET /?p=1 HTTP/1.1" 200 8213\n'


@pytest.fixture(scope="module")
def databases():
    return [PatternDatabase([load(name)]) for name in ("wordpress-access", "wordpress-probes")]


@pytest.fixture
def log(tmp_path):
    (tmp_path / "log").write_bytes(VISIT * 300 + (FAILURE + VISIT * 99) * 1_000)
    return FileLog(str(tmp_path / "log"))


class Pieces:
    """A log of these parts; then it cannot be read any more."""

    source, name = "replay", "log"

    def __init__(self, *pieces, error=None):
        self._pieces, self._error = pieces, error

    def parts(self, meter):
        for piece in self._pieces:
            meter.advance(len(piece))
            yield LogPart("", piece, Framing.NONE, len(piece))
        if self._error:
            raise self._error


def test_lines_that_may_be_failures_are_kept_in_their_order_and_the_last_line(databases):
    probe = VISIT.replace(b"/?p=1", b"/.env")

    assert (
        sieved(VISIT + FAILURE + VISIT + probe + FAILURE + VISIT, databases)
        == FAILURE + probe + FAILURE + VISIT
    )
    assert sieved(VISIT + FAILURE, databases) == FAILURE
    assert sieved(VISIT, databases) == VISIT
    assert sieved(b"", databases) == b""


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_nothing_that_a_search_finds_is_left_out(databases, size):
    lines = [line + b"\n" for line in week.access_log().encode().split(b"\n")[:-1]]
    lines = [line for group in zip(*[iter(lines)] * size, strict=False) for line in group]
    data = b"".join(lines)

    kept = sieved(data, databases)

    for each in databases:
        assert list(each.candidates(kept)) == list(each.candidates(data))


def test_the_beginning_is_passed_on_whole_and_parts_are_passed_on_together(databases):
    pieces = [VISIT * 300, VISIT * 50 + FAILURE, *[VISIT * 9] * PARTS_AT_ONCE]
    sizes = [len(piece) for piece in pieces]
    first, second, end = messages(Pieces(*pieces), databases)

    data = VISIT * 300 + FAILURE + VISIT * (PARTS_AT_ONCE - 2)
    assert first.part == LogPart("", data, Framing.NONE, sum(sizes[:PARTS_AT_ONCE]))
    assert second.part == LogPart("", VISIT * 2, Framing.NONE, sum(sizes[PARTS_AT_ONCE:]))
    assert first.read + second.read == sum(sizes)
    assert end == Ended()


def test_parts_of_two_streams_are_not_passed_on_as_one(databases):
    class Streams(Pieces):
        def parts(self, meter):
            for number, part in enumerate(super().parts(meter)):
                yield part._replace(stream=("stdout", "stderr")[number // 2])

    passed = [*messages(Streams(*[VISIT] * 4), databases)][:-1]

    assert [(each.part.stream, each.part.data) for each in passed] == [
        ("stdout", VISIT * 2),
        ("stderr", VISIT * 2),
    ]


def test_another_process_reads_what_this_one_would(log, databases):
    meter = CountedBytes()
    parts = list(SievedLog(log, databases).parts(meter))

    size = Path(log.name).stat().st_size
    assert sum(part.size for part in parts) == meter.take() == size
    assert b"".join(part.data for part in parts).count(FAILURE) == 1_000
    assert sum(len(part.data) for part in parts) < size / 2


def test_why_a_log_cannot_be_read_comes_from_the_other_process(databases):
    with pytest.raises(UnreadableError, match="a bad disk"):
        list(SievedLog(Pieces(VISIT, error=UnreadableError("a bad disk")), databases).parts(NO_METER))
    with pytest.raises(Failed, match="cannot be read: No such file"):
        list(SievedLog(FileLog("/nowhere/log"), databases).parts(NO_METER))


def test_a_process_that_dies_is_no_end_of_the_log(databases):
    # More than the pipe holds, in several messages.
    sieve = SievedLog(Pieces(*[FAILURE * 5_000] * 4 * PARTS_AT_ONCE), databases)
    parts = sieve.parts(NO_METER)
    next(parts)
    os.kill(sieve._pid, signal.SIGKILL)

    with pytest.raises(UnreadableError, match="the process that read it has ended"):
        list(parts)


def test_a_process_ends_with_its_reader(log, databases):
    sieve = SievedLog(log, databases)
    parts = sieve.parts(NO_METER)
    next(parts)
    parts.close()

    with pytest.raises(ChildProcessError):
        os.waitpid(sieve._pid, os.WNOHANG)


def test_a_long_log_is_replayed_by_two_processes_with_the_same_verdicts(wp, here, monkeypatch):
    """Gzipped or not, and with two policies."""
    monkeypatch.setattr("sidecar.cli.meter.SHOWN_FROM_BYTES", 1)
    monkeypatch.delenv("WP_SIDECAR_FILTERS")
    (here / "jails.conf").write_text(week.JAILS)
    (here / "patient.conf").write_text(week.PATIENT)
    (here / "log").write_text(week.access_log())
    (here / "log.gz").write_bytes(gzip.compress(week.access_log().encode()))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    command = ("replay", "--csv", "--against", "patient.conf")
    alone = wp(*command, "log")

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    started = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: started.append(1) or fork())

    assert wp(*command, "log") == wp(*command, "log.gz") == alone
    assert len(started) == 2
    assert alone[1].count("patient.conf,ban,") == 6


def test_what_is_counted_is_counted_once():
    counted = CountedBytes()
    counted.advance(3)
    counted.advance(4)

    assert (counted.take(), counted.take()) == (7, 0)
