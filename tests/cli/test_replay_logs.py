import gzip
import math

import pytest

from sidecar.cli.meter import NO_METER
from sidecar.cli.replay_logs import FileLog, LogPart, ReadLog
from sidecar.core.events import Framing, Origin


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, lambda data: gzip.compress(data[:8]) + gzip.compress(data[8:])]
)
def test_a_file_is_read_gzipped_or_not(tmp_path, pack):
    (tmp_path / "log").write_bytes(pack(b"one\ntwo\nthree"))

    parts = list(FileLog(str(tmp_path / "log")).parts(NO_METER))

    assert b"".join(part.data for part in parts) == b"one\ntwo\nthree\n"
    assert {(part.stream, part.framing) for part in parts} == {("", Framing.NONE)}


def test_a_damaged_file_is_read_up_to_the_damage_and_it_is_said(tmp_path, capsys):
    lines = b"".join(b"%d a line that is hardly like the others\n" % number for number in range(100_000))
    (tmp_path / "log.gz").write_bytes(gzip.compress(lines)[:-5_000])

    data = b"".join(part.data for part in FileLog(str(tmp_path / "log.gz")).parts(NO_METER))

    assert len(data) > len(lines) / 2
    assert "log.gz is damaged (" in capsys.readouterr().err


def test_a_policy_is_told_of_the_jails_that_look_at_a_log():
    log = ReadLog(FileLog("access.log", Framing.NONE), [("a",), ("b", "c")])

    assert log.origin(1, "stdout") == Origin("replay", "access.log", "stdout", ("b", "c"))
    assert log.origin(0, "") is log.origin(0, "")
    assert (log.begin, log.end) == (math.inf, -math.inf)
    assert LogPart("", b"x\n", Framing.NONE, 2).data == b"x\n"
