"""A state directory and an nftables table of an earlier version are taken over as they are.

The files in `upgrade/` are recorded from commit 8981da6 (version 0.1.0, store version 3, table schema 3): a daemon with
`jails.conf` read the three logs, banned by failures and by hand, and was stopped. `state.sql` is its store as SQLite's
own dump, `table.nft` what `nft list table` said then, `answers.json` what its control socket had answered just before.
`{folder}` stands for the folder with the logs, and `{error.log}` for that file's inode number.
"""

import contextlib
import json
import math
import re
import sqlite3
import time

import pytest

from tests.support.paths import ROOT
from tests.support.running import Running
from tests.support.waiting import wait_until

RECORDED = ROOT / "tests/stories/upgrade"
LOGS = ("error.log", "short.log", "seen.log")
ANN, BOB, DAN, EVE = (f"203.0.113.{n}" for n in (7, 8, 9, 10))
BAN_SETS = ("ban4", "ban6", "net4", "net6", "ban4_8080", "ban6_8080", "net4_8080", "net6_8080")
UNITS_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_ALLOW_CDN", "none")
    running = Running(tmp_path)
    yield running
    running.close()


@pytest.fixture
def recorded(daemon):
    """Put everything in place that the earlier version left; return its answers."""
    (daemon.folder / "state").mkdir()
    for name in LOGS:
        (daemon.folder / name).write_bytes((RECORDED / name).read_bytes())
    placeholders = {name: str((daemon.folder / name).stat().st_ino) for name in LOGS}
    placeholders["folder"] = str(daemon.folder)

    def text(name):
        return re.sub(r"\{([\w.]+)\}", lambda found: placeholders[found[1]], (RECORDED / name).read_text())

    # The clients of these logs send no packets.
    (daemon.folder / "jails.conf").write_text(
        text("jails.conf").replace("[DEFAULT]", "[DEFAULT]\nwitness = off", 1)
    )
    with contextlib.closing(sqlite3.connect(daemon.folder / "state/state.db")) as db:
        db.executescript(text("state.sql"))
    answers = json.loads(re.sub(r"\{(folder)\}", str(daemon.folder), (RECORDED / "answers.json").read_text()))
    table = daemon.folder / "table.nft"
    table.write_text(shortened((RECORDED / "table.nft").read_text(), time.time() - answers["recorded"]))
    daemon.inside("nft", "--file", str(table))
    return answers


def shortened(table, elapsed_s):
    """The table, with so much less time left for each ban."""

    def left(found):
        total = sum(
            int(number) * UNITS_S[unit] for number, unit in re.findall(r"(\d+)([dhms])(?!s)", found[1])
        )
        # nft reads at most eight digits of each unit.
        days, seconds = divmod(round(total - elapsed_s), 86_400)
        return f"expires {days}d{seconds}s" if total > elapsed_s else ""

    return re.sub(r"expires ((?:\d+(?:ms|[dhms]))+)", left, table)


def banned_in_kernel(daemon):
    """Return each set of bans with its elements, but for how long they have left."""
    elements = {}
    for name in BAN_SETS:
        text = daemon.inside("nft", "list", "set", "inet", "wp_sidecar", name)
        found = re.search(r"elements = \{(.*?)\}", text, re.DOTALL)
        elements[name] = {each.split()[0] for each in found[1].split(",")} if found else set()
    return elements


def cursors(daemon):
    with contextlib.closing(sqlite3.connect(daemon.folder / "state/state.db")) as db:
        return dict(db.execute("SELECT key, state FROM cursors"))


def explained(daemon, address):
    """What `explain` answers, without what the earlier version did not know of."""
    answer = daemon.ask("explain", who=address)
    new = ("refused", "filter", "lines", "expressions", "failed_at")
    # The earlier version kept no bans that are over.
    assert (answer.pop("history"), {each["ip"] for each in answer.pop("networks")}) == (
        [],
        {*answer["within"]},
    )
    jails = [{key: value for key, value in jail.items() if key not in new} for jail in answer["jails"]]
    for jail in jails:
        if jail["ban"]:
            # It came without its lines.
            jail["ban"] = as_before(jail["ban"]) | {"evidence": []}
    return {**answer, "jails": jails}


def counted(daemon, address):
    """What `history` answers, without the bans themselves, which the earlier version did not keep."""
    answer = daemon.ask("history", who=address)
    assert all(each["ended"] is None for each in answer.pop("bans"))
    return answer


def as_before(ban):
    """A ban without what the earlier version did not count. The table was made new, and no packet came since."""
    dropped = ban.pop("dropped"), ban.pop("last_dropped")
    assert dropped == (None if ban["observed"] else 0, None)
    return ban


def test_bans_history_failures_and_cursors_go_on(daemon, recorded):
    before, read = banned_in_kernel(daemon), cursors(daemon)
    assert before["ban4"] == {ANN} and before["net4"] == {"198.51.100.0/24"}
    daemon.start()

    # Those that end first come first now.
    ends = {ban["ip"]: ban["until"] or math.inf for ban in recorded["bans"]}
    assert [*map(as_before, daemon.ask("bans")["bans"])] == sorted(
        recorded["bans"], key=lambda ban: ends[ban["ip"]]
    )
    assert [counted(daemon, address) for address in (ANN, DAN)] == recorded["history"]
    assert [explained(daemon, address) for address in (ANN, BOB, EVE)] == recorded["explain"]
    assert banned_in_kernel(daemon) == before
    assert cursors(daemon) == read
    # No line is read again.
    wait_until(lambda: len(daemon.ask("status")["streams"]) == len(LOGS))
    assert not any(daemon.failures().values())


def test_nothing_is_reported_as_repaired_or_wrong(daemon, recorded):
    daemon.start()
    wait_until(lambda: daemon.metric("wp_sidecar_firewall_enforcement_ratio") == 1)

    metrics = daemon.inside("curl", "-sS", "http://127.0.0.1:9734/metrics")
    repairs = re.findall(r"(?m)^wp_sidecar_firewall_repairs_total\{.*\} (.*)$", metrics)
    assert repairs and {float(count) for count in repairs} == {0}
    assert daemon.ask("health") == {"live": True, "ready": True, "why": []}
    assert not re.search(r" (WARNING|ERROR) ", daemon.stderr())


def test_a_half_filled_window_is_completed_by_the_next_line(daemon, recorded):
    """Two failures of the earlier version, and one more."""
    daemon.start()
    daemon.fail(BOB, 1)
    wait_until(lambda: BOB in daemon.banned())

    (ban,) = (each for each in daemon.ask("bans")["bans"] if each["ip"] == BOB)
    assert (ban["jail"], ban["failures"], ban["times"]) == ("wordpress", 3, 1)
    assert BOB in banned_in_kernel(daemon)["ban4"]
