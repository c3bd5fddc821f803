import sys

from sidecar.cli import meter
from sidecar.cli.meter import NO_METER, SHOWN_FROM_BYTES
from sidecar.cli.progress import Progress


def test_only_a_long_log_on_a_terminal_has_a_bar(monkeypatch, tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"x")
    monkeypatch.setenv("TERM", "xterm")

    assert meter.meter(None) is NO_METER
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(meter.meter(None), Progress)
    assert isinstance(meter.meter(SHOWN_FROM_BYTES), Progress)
    assert meter.meter_of([str(log), "-", str(tmp_path / "none")]) is NO_METER
    monkeypatch.setenv("TERM", "dumb")
    assert meter.meter(None) is NO_METER


def test_without_a_bar_lines_go_to_standard_output(capsys):
    NO_METER.advance(5)
    NO_METER.write_line("a line")
    NO_METER.close()

    assert capsys.readouterr().out == "a line\n"
