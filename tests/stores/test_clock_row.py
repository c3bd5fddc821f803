"""What is stored keeps the time that it has left, also where the clock is set between two runs."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from sidecar.core.allowed import Allow
from sidecar.core.events import Cursor, Turn, Unban
from sidecar.runtime.clock import HostClock, boot_id
from sidecar.stores.base import EndedBan, PastBansWanted, Remembered, StoreError
from sidecar.stores.sqlite import SqliteStore, stored_bans
from tests.support.stored import ANN, BAN, BOB, LOADED, PAST, PERMANENT, hit

DAY = 86_400.0
NOW = 200.0
ALLOW = Allow(ANN, 10.0, 5000.0, "the office")


class Host:
    """A host whose clock is set, and that is started again, beside a store in its file."""

    def __init__(self, path, monkeypatch):
        self.path, self.elapsed, self.ahead = path, 0.0, NOW
        self._monkeypatch = monkeypatch

    def clock(self):
        return HostClock(lambda: self.elapsed + self.ahead, lambda: self.elapsed)

    def store(self):
        return closing(SqliteStore(self.path, self.clock()))

    def boot(self, at):
        """Start the machine again, and have its clock say this."""
        self.elapsed, self.ahead = 0.0, at
        boot_id.cache_clear()
        self._monkeypatch.setattr("sidecar.runtime.clock.boot_id", lambda: f"boot at {at}")

    @property
    def now(self):
        return self.elapsed + self.ahead

    def loaded(self):
        with self.store() as store:
            return store.load(self.now)


@pytest.fixture
def host(path, monkeypatch):
    """All that has a time, stored at NOW."""
    host = Host(path, monkeypatch)
    with host.store() as store:
        gone = replace(BAN, address=BOB)
        store.apply(
            Turn(
                NOW,
                (BAN, gone, replace(PERMANENT, jail="manual")),
                (hit(190.0, BOB),),
                (Cursor("log", b"1"),),
            )
        )
        store.apply(Turn(NOW, (Unban("wordpress", BOB, 150.0, "expired"),), allow_changes=(ALLOW,)))
    return host


def moved(by_s, now):
    return Remembered(
        (
            replace(PERMANENT, jail="manual", at=50.5 + by_s, decided_at=now),
            replace(LOADED, at=BAN.at + by_s, until=BAN.until + by_s),
        ),
        (PAST._replace(address=BOB, until=PAST.until + by_s),),
        (),
        {"log": b"1"},
        (replace(ALLOW, at=10.0 + by_s, until=5000.0 + by_s),),
    )


@pytest.mark.parametrize("by_s", [DAY, -DAY])
def test_a_clock_that_was_set_while_we_were_away_moves_what_is_loaded(host, by_s):
    host.ahead += by_s

    assert host.loaded() == moved(by_s, host.now)


def test_a_clock_that_goes_on_moves_nothing(host):
    host.elapsed += 100.0

    assert host.loaded() == moved(0.0, host.now)


@pytest.mark.parametrize("by_s", [DAY, -DAY])
def test_what_is_written_afterwards_stands_beside_what_was_moved(host, by_s):
    host.ahead += by_s
    with host.store() as store:
        store.apply(Turn(host.now, hits=(hit(host.now, ANN),)))

    loaded = host.loaded()
    assert loaded.bans == moved(by_s, host.now).bans
    assert [each.at for each in loaded.hits] == [host.now]
    # It was moved in the file, and once.
    assert host.loaded() == loaded


def test_bans_that_are_over_move_as_well(host):
    host.ahead += DAY
    with host.store() as store:
        store.forget(0.0)
        [found] = store.past_bans(PastBansWanted(BOB))

    assert found == EndedBan(
        replace(LOADED, address=BOB, at=BAN.at + DAY, until=BAN.until + DAY), 150.0 + DAY, "expired"
    )


def test_a_host_without_a_clock_of_its_own_loses_no_ban(host):
    # It begins in 1970, and NTP sets it later: 30 seconds after the start, two days have passed.
    host.boot(at=5.0)
    assert host.loaded().bans == moved(5.0 - NOW, host.now).bans
    with host.store() as store:
        store.forget(-DAY)
    host.elapsed = 30.0
    host.ahead += 2 * DAY

    assert host.loaded().bans == moved(5.0 - NOW + 2 * DAY, host.now).bans


def test_after_a_reboot_a_clock_that_is_ahead_is_believed(host):
    host.boot(at=BAN.until + 1)

    assert [ban.jail for ban in host.loaded().bans] == ["manual"]


def test_a_step_while_we_run_moves_what_is_owed_too(host, path):
    clock = host.clock()
    with (
        closing(SqliteStore(path, clock)) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        store.load(NOW)
        other.execute("BEGIN IMMEDIATE")
        late = replace(BAN, jail="late", at=NOW, until=NOW + 3600, evidence=())
        with pytest.raises(StoreError):
            store.apply(Turn(NOW, (late, Unban("none", ANN, NOW, "manual")), (hit(NOW, BOB),)))
        host.ahead += DAY
        store.shift(clock.look())
        other.execute("ROLLBACK")
        store.apply(Turn(host.now))

    loaded = host.loaded()
    assert {(ban.jail, ban.at, ban.until) for ban in loaded.bans} >= {
        ("late", NOW + DAY, NOW + DAY + 3600),
        ("wordpress", BAN.at + DAY, BAN.until + DAY),
    }
    assert [each.at for each in loaded.hits] == [NOW + DAY]


def test_the_bans_of_a_start_without_a_configuration_are_moved(host, path):
    host.ahead += DAY

    assert stored_bans(path, host.clock().reading).bans == moved(DAY, host.now).bans


@pytest.mark.parametrize(
    "damage",
    ["DROP TABLE clock", "DELETE FROM clock", "UPDATE clock SET at = 'soon'", "UPDATE clock SET boot = CAST(x'ff' AS TEXT)"],
)  # fmt: skip
def test_a_row_that_is_missing_or_damaged_moves_nothing(host, path, damage):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(damage)
    # As `stored_bans` finds a file of an earlier version.
    host.ahead += 1000.0

    assert stored_bans(path, host.clock().reading).bans == moved(0.0, host.now).bans


def test_a_damaged_row_does_not_become_a_sound_one(host, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE bans SET until = 'soon' WHERE jail = 'wordpress'")
    host.ahead += DAY
    with host.store() as store:
        store.forget(-DAY)

    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT until FROM bans WHERE jail = 'wordpress'").fetchall() == [("soon",)]
