import json

import pytest

from sidecar.cli.meter import NO_METER
from sidecar.cli.replay import Policy, Replay
from sidecar.cli.replay_logs import FileLog, LogPart, ReadLog
from sidecar.cli.replay_report import TextReport, show_errors, summary
from sidecar.config import reader
from sidecar.core.events import Framing
from tests.cli.logs import BURST, docker

SAME = "[wordpress]\nmaxretry = 3\nlogpath = /nowhere\n"


@pytest.fixture
def policy(here):
    environ = {"WP_SIDECAR_FILTERS": str(here), "WP_SIDECAR_JAILS": str(here / "jails.conf")}
    return Policy("jails.conf", reader.read(environ, look=False))


def test_a_filter_that_was_suspended_is_no_silence(policy, capsys):
    replay = Replay([policy], [], NO_METER)
    assert not show_errors(replay)

    policy.problems.report("filter", "filter wordpress is suspended")
    assert show_errors(replay)
    assert capsys.readouterr().err == "wp-sidecar: filter wordpress is suspended\n"


def test_a_log_that_cannot_be_read_to_its_end_is_named(policy, capsys):
    log = ReadLog(FileLog("blog"), [("wordpress",)], error="the file is damaged")

    assert show_errors(Replay([policy], [log], NO_METER))
    assert capsys.readouterr().err == "wp-sidecar: blog: the file is damaged\n"


def test_a_summary_without_a_failure(policy):
    assert summary(policy) == "0 bans, 0 failures"


def test_the_text_has_tables_plots_assumptions_and_the_totals_last(wp):
    _, out, _ = wp("replay", stdin=BURST + docker(("59:00", "fail 198.51.100.9")))
    lines = out.splitlines()

    assert lines[0].partition("  ban    ")[2].startswith("203.0.113.7  wordpress  3 failures, for 1h")
    titles = [line.split("  ")[0] for line in lines if line[:1].isalpha()]
    assert [title for title in titles if title in ("log", "jail", "address")] == ["log", "jail", "address"]
    # A person looks first at what failed most.
    at = lines.index(next(line for line in lines if line.startswith("address ")))
    assert lines[at + 1].split()[:4] == ["203.0.113.7", "3", "0", "1"]
    assert [line.partition(",")[0] for line in lines if ", each column " in line] == ["failures", "bans"]
    assert any("█" in line for line in lines)
    assert any(line.startswith("- every client is taken to have sent packets") for line in lines)
    assert lines[-1] == "1 bans, 5 failures, 1 of them not counted (a private address)"


def test_only_the_totals(wp):
    _, out, _ = wp("replay", "--totals", stdin=BURST)

    assert "ban    203.0.113.7" not in out


def test_rows_for_a_spreadsheet(wp, here):
    (here / "same.conf").write_text(SAME)
    _, out, _ = wp("replay", "--csv", stdin=BURST)
    assert out == (
        "action,jail,ip,time,until,failures\n"
        "ban,wordpress,203.0.113.7,2026-11-22T08:40:03Z,2026-11-22T09:40:03Z,3\n"
    )

    _, out, _ = wp("replay", "--csv", "--against", "same.conf", stdin=BURST)
    assert out.splitlines()[0] == "policy,action,jail,ip,time,until,failures"
    assert out.splitlines()[2].startswith("same.conf,ban,wordpress,203.0.113.7,")
    code, _, err = wp("replay", "--csv", "--json", stdin=BURST)
    assert (code, "choose --json or --csv" in err) == (2, True)


def test_two_policies_are_compared_at_the_end(wp, here):
    (here / "strict.conf").write_text(SAME.replace("3", "1"))
    lines = BURST + docker(("50:00", "fail 198.51.100.9"))
    _, out, _ = wp("replay", "--totals", "--against", "strict.conf", stdin=lines)

    assert "banned by jails.conf alone: 0, of which 0 ever logged in" in out
    assert "banned by strict.conf alone: 1, of which 0 ever logged in" in out
    assert "\nbanned by both: 1\n" in out
    assert "nobody is known to have logged in" in out
    assert out.splitlines()[-1].startswith("strict.conf: 2 bans, 5 failures")


def test_hostile_names_do_not_reach_the_terminal(wp, here):
    name = "evil\x1b[2J.log"
    (here / name).write_bytes(BURST)
    _, out, _ = wp("replay", name)

    assert "\x1b" not in out
    assert "evil\\x1b[2J.log" in out


def test_the_lines_of_a_text_report_go_above_the_bar(policy):
    class Shown:
        lines = ()

        def write_line(self, text):
            self.lines += (text,)

    shown = Shown()
    report = TextReport(shown, (), only_totals=False, with_policy=True, wide=False)
    log = ReadLog(FileLog("log"), [("wordpress",)])
    log.log = Given(BURST)
    for decided in Replay([policy], [log], NO_METER).decisions():
        report.decided(decided)

    (line,) = shown.lines
    assert line.startswith("jails.conf: ")
    assert "  ban    203.0.113.7  wordpress  " in line


class Given:
    """A log of these lines."""

    source, name = "replay", "log"

    def __init__(self, data):
        self._data = data

    def parts(self, meter):
        yield LogPart("", self._data, Framing.DOCKER, len(self._data))


def test_a_line_of_another_age_makes_no_plot_wider_than_the_terminal(wp):
    lines = docker(("40:00", "fail 203.0.113.7")).replace(b"2026", b"0002") + BURST
    _, out, _ = wp("replay", stdin=lines)

    assert max(len(line) for line in out.splitlines() if set(line) <= set("0123456789 ▁▂▃▄▅▆▇█")) <= 80


def test_a_log_that_is_not_understood_is_no_silence(wp, here, monkeypatch):
    """0 failures in it say nothing."""
    # The default jails.
    monkeypatch.delenv("WP_SIDECAR_JAILS", raising=False)
    line = "https 2026-11-30T06:33:20Z lb 203.0.113.7:40526 10.0.0.1:80 0 200 POST /wp-login.php\n"
    lb, few = here / "lb.log", here / "few.log"
    lb.write_text(line * 30)
    few.write_text(line * 3)

    code, out, _ = wp("replay", "--wide", str(lb), str(few))
    sentence = " ".join(out.split())
    assert f"- the log of {lb} is not understood: of 30 lines none is a request in a known format" in sentence
    assert "Set `logformat` in [wordpress-access]" in sentence
    assert (code, f"{few} is not understood" in sentence) == (0, False)

    _, out, _ = wp("replay", "--json", str(lb))
    assert json.loads(out.splitlines()[-1])["not_understood"] == [str(lb)]
