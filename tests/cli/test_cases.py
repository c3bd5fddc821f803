"""Small inputs of people's hosts that once failed, each by the command that a person would try."""

import shutil
from datetime import UTC

import pytest

from sidecar.access.detect import AccessLog
from sidecar.core.events import Batch, Framing, Origin, Written
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from tests.filters import oracle
from tests.support.paths import ROOT

CASES = ROOT / "tests/cases"
ATTACKER, BALANCER = "203.0.113.66", "198.51.100.250"
# 24 November 2026, 08:40 UTC; the tenth line says 1795595999.123 itself.
DATED = 1_795_509_600
NOW = 1_796_020_400.0


@pytest.fixture
def case(wp, tmp_path, monkeypatch):
    """Run a command in the folder of the cases, with the filters and jails that a new installation has."""
    folder = shutil.copytree(CASES, tmp_path / "cases")
    (tmp_path / "filters").mkdir()

    def run(*args, jails="", at="", filters=tmp_path / "filters"):
        monkeypatch.chdir(folder / at)
        monkeypatch.setenv("WP_SIDECAR_FILTERS", str(filters))
        monkeypatch.delenv("WP_SIDECAR_JAILS", raising=False)
        if jails:
            monkeypatch.setenv("WP_SIDECAR_JAILS", jails)
        return wp(*args)

    return run


LOGS = sorted(path.name for path in (CASES / "formats").iterdir())


def test_there_is_a_log_of_each_kind():
    assert len(LOGS) == 9


@pytest.mark.parametrize("log", [log for log in LOGS if log not in ("xff.log", "traefikcf.log")])
def test_the_attacker_of_each_log_is_banned(case, log):
    code, out, _ = case("replay", f"formats/{log}")

    assert (code, f"ban    {ATTACKER}  wordpress-access  5 failures" in out) == (0, True)
    assert out.endswith("1 bans, 8 failures, 3 of them not counted (banned already)\n")


def test_a_client_behind_a_cdn_is_counted_and_not_banned(case):
    _, out, _ = case("replay", "formats/traefikcf.log")

    assert out.splitlines()[-1] == "0 bans, 8 failures, 8 of them not counted (the client is behind a proxy)"


def test_of_two_addresses_the_last_is_banned_unless_it_is_a_trusted_proxy(case, monkeypatch):
    _, out, _ = case("replay", "formats/xff.log")
    assert f"ban    {BALANCER}  " in out

    monkeypatch.setenv("WP_SIDECAR_TRUSTED_PROXIES", BALANCER)
    _, out, _ = case("replay", "formats/xff.log")
    assert out.splitlines()[-1] == "0 bans, 8 failures, 8 of them not counted (the client is behind a proxy)"


def test_the_date_of_each_layout_is_read():
    lines = (CASES / "access-dates-not-read.log").read_text().splitlines()
    times = [request.time for line in lines for request in AccessLog().requests(line)]

    assert [int(time or 0) for time in times] == [
        1_795_595_999 if "[1795595999" in line else DATED for line in lines
    ]


@pytest.mark.parametrize("name", ["rt_cache-month-old.log", "undated-month-old.log"])
def test_what_is_weeks_old_when_a_file_is_first_read_bans_nobody(name):
    jail = "wordpress-access" if "rt_cache" in name else "wordpress"
    matcher = Matcher({jail: load(jail)}, UTC)
    batch = Batch(
        Origin("files", name, jails=(jail,)), (CASES / name).read_bytes(), Framing.NONE, Written.EARLIER
    )
    times = [hit.at for hit in matcher.scan(batch, NOW).hits]

    assert len(times) == (5 if "rt_cache" in name else 0)
    assert [time for time in times if time > NOW - 10_800] == []


def test_old_failures_that_are_replayed_ban_nobody(case):
    assert case("replay", "rt_cache-month-old.log")[1].splitlines()[-1] == "0 bans, 5 failures"


@pytest.mark.parametrize(
    ("jails", "note"),
    [
        ("default-unknown-key-apikey.conf", "DEFAULT.blocklist_de_apikey: is ignored: unknown"),
        ("default-unknown-key-multipliers.conf", "DEFAULT.findtime.multipliers: is ignored: unknown"),
        ("default-unknown-key-path.conf", "DEFAULT.nginx_access_log: is ignored: unknown"),
        ("maxretry-0.conf", "wordpress-access.maxretry: 0 means 1, as in fail2ban"),
        ("duration-arithmetic.conf", "wordpress-access.bantime: 60*60*24 is 1d"),
    ],
)
def test_what_fail2ban_takes_is_a_note(case, jails, note):
    code, out, _ = case("check-config", jails=jails)

    assert (code, f"note: {jails}: {note}" in out, out.endswith("ok\n")) == (0, True, True)


def test_a_jail_local_is_read_in_fail2bans_order(case):
    _, out, _ = case("check-config", "--json", jails="jaild-order/jail.local")

    assert '"maxretry": 3, "findtime": 10800.0, "bantime": 77.0' in out


def test_the_configuration_of_the_tutorial_works_as_it_is_pasted(case):
    code, out, _ = case("check-config", jails="jail.local", at="seed", filters=".")

    assert (code, out.splitlines()[-1]) == (0, "ok")
    assert "jail wordpress: filter wordpress, 4 expressions, action slack\n" in out


def test_a_line_that_ignoreregex_took_out_is_shown_with_the_expression(case):
    _, out, _ = case("test-filter", "./ignoreregex.conf", "ignoreregex.log")

    assert "2 lines: 1 matched, 0 missed, 1 ignored" in out
    assert "by ignoreregex: UptimeRobot" in out


def test_a_filter_for_wrapped_lines_finds_nothing_in_bare_ones(case):
    """tests/app/test_unread_logs.py has what the daemon says of such a filter."""
    _, out, _ = case("test-filter", "./json-file-filter.filter.conf", "formats/compose.log")

    assert "8 lines: 0 matched, 8 missed" in out


@pytest.mark.parametrize("newlines", ["", "\n"])
def test_fail2bans_own_sample_is_found_alone_whatever_its_length(case, tmp_path, newlines):
    """Vectorscan 5.4.12 loses it at the end of the data."""
    log = tmp_path / "one.log"
    for length in (188, 200, 256):
        ((_, line),) = oracle.own_lines("apache-pass")
        log.write_text(line[:-1].ljust(length - 1, "x") + '"' + newlines)
        _, out, _ = case(
            "test-filter", str(oracle.CONFIG / "filter.d/apache-pass.conf"), str(log), "--transport", "none"
        )

        assert "1 lines: 1 matched, 0 missed" in out
