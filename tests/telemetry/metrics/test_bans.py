import math

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban, BanCause, Hit, Origin, Turn, Unban, UnbanCause
from sidecar.telemetry.metrics.bans import LOG_TO_DROP_BUCKETS_S

ANN, BOB, EVE = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:1:2::/64")
LOG = Origin("docker", "blog", "stdout", ("login",))


def ban(address, jail="login", at=99.0, cause=BanCause.FAILURES, **more):
    return Ban(jail, address, at, math.inf, cause, **more)


def test_a_turn_is_counted_by_jail_family_and_cause(scrape):
    hit = Hit("login", ANN, 99.0, LOG, "line")
    decisions = (ban(ANN), ban(EVE), ban(BOB, cause=BanCause.MANUAL))
    active = {("login", 4): 2, ("login", 6): 1}
    scrape.metrics.bans.apply(Turn(99.0, decisions, (hit, hit), ignored=(hit,), enforced_bans=active))

    assert scrape("failures_total", "bans_total", "bans_active", "log_to_drop_seconds_count") == {
        'failures_total{jail="login"}': 3,
        'bans_total{cause="failures",family="ipv4",jail="login"}': 1,
        'bans_total{cause="failures",family="ipv6",jail="login"}': 1,
        'bans_total{cause="manual",family="ipv4",jail="login"}': 1,
        'bans_active{family="ipv4",jail="login"}': 2,
        'bans_active{family="ipv6",jail="login"}': 1,
        "log_to_drop_seconds_count": 2,
    }


def test_bans_in_force_are_what_the_guard_counts(scrape):
    scrape.metrics.bans.set_active({("login", 4): 2})
    assert scrape("bans_active") == {'bans_active{family="ipv4",jail="login"}': 2}

    unban = Unban("login", BOB, 2.0, UnbanCause.EXPIRED)
    scrape.metrics.bans.apply(Turn(2.0, (unban, unban), enforced_bans={("login", 4): 1}))

    assert scrape("bans_active", "unbans_total") == {
        'bans_active{family="ipv4",jail="login"}': 1,
        'unbans_total{cause="expired",family="ipv4",jail="login"}': 2,
    }


def test_every_cause_begins_at_zero(scrape):
    series = scrape.all("bans_total", "unbans_total", "failures_total", "dry_run_bans_total", "bans_active")

    assert set(series.values()) == {0}
    assert len(series) == 3 * len(BanCause) + 2 * len(UnbanCause) + 1 + 2


def test_a_jail_of_a_reload_begins_at_zero(scrape):
    scrape.metrics.reconfigure(["login", "mail"])

    assert scrape.all("failures_total", "tracked_addresses") == {
        'failures_total{jail="login"}': 0,
        'failures_total{jail="mail"}': 0,
        'tracked_addresses{jail="login"}': 0,
        'tracked_addresses{jail="mail"}': 0,
    }


def test_a_dry_run_is_counted_and_is_no_drop(scrape):
    scrape.metrics.bans.apply(Turn(99.0, (ban(ANN, dry_run=True),)))

    assert scrape("bans_total", "dry_run_bans_total", "log_to_drop_seconds_count") == {
        'bans_total{cause="failures",family="ipv4",jail="login"}': 1,
        'dry_run_bans_total{cause="failures",jail="login"}': 1,
    }


def test_a_timestamp_of_whole_seconds_makes_no_drop_late(scrape):
    scrape.metrics.bans.apply(Turn(100.0, (ban(ANN, at=99.0), ban(BOB, at=100.0), ban(EVE, at=90.0))))

    assert scrape("log_to_drop_seconds_sum") == {"log_to_drop_seconds_sum": 9.0}


def test_the_drop_is_as_late_as_the_line_is_old(scrape):
    decisions = (ban(ANN, at=99.997), ban(BOB, at=99.25), ban(EVE, at=100.5))
    scrape.metrics.bans.apply(Turn(100.0, decisions))
    buckets = scrape.all("log_to_drop_seconds_bucket")

    assert scrape("log_to_drop_seconds_sum") == {"log_to_drop_seconds_sum": pytest.approx(0.753)}
    assert len(buckets) == len(LOG_TO_DROP_BUCKETS_S) + 1
    assert [buckets[f'log_to_drop_seconds_bucket{{le="{le}"}}'] for le in (0.0025, 0.005, 0.5, 1.0)] == [
        1,
        2,
        2,
        3,
    ]


def test_a_ban_that_the_firewall_did_not_take_is_no_drop(scrape):
    scrape.metrics.firewall.transaction(0.5, error=True)
    scrape.metrics.bans.apply(Turn(100.0, (ban(ANN),)))
    scrape.metrics.firewall.transaction(0.0003)
    scrape.metrics.bans.apply(Turn(100.0, (ban(BOB),)))

    assert scrape("log_to_drop_seconds_count") == {"log_to_drop_seconds_count": 1}


def test_a_storm_makes_no_series(scrape):
    scrape.metrics.bans.apply(Turn(1.0, (ban(ANN),), (Hit("login", ANN, 1.0, LOG, "line"),)))
    before = len(scrape.text.splitlines())
    storm = tuple(ban(Address(f"198.51.{n // 250}.{n % 250}")) for n in range(10_000))
    hits = tuple(Hit("login", each.address, 2.0, LOG, "line") for each in storm)
    scrape.metrics.bans.apply(Turn(2.0, storm, hits))

    assert len(scrape.text.splitlines()) == before
    assert scrape("bans_total") == {'bans_total{cause="failures",family="ipv4",jail="login"}': 10_001}


def test_jails_of_sites_are_counted_as_their_jail(scrape):
    """A series for each would be one for each container there ever was."""
    hits = tuple(Hit(f"login@{site}", ANN, 99.0, LOG, "line") for site in ("blog", "shop"))
    decisions = (
        ban(ANN, "login@blog"),
        ban(BOB, "login@shop"),
        Unban("login@shop", BOB, 99.0, UnbanCause.EXPIRED),
    )
    active = {("login@blog", 4): 1, ("login@shop", 4): 2, ("login", 4): 4}
    scrape.metrics.bans.apply(Turn(99.0, decisions, hits, enforced_bans=active))

    assert scrape("failures_total", "bans_total", "unbans_total", "bans_active", "container_bans_total") == {
        'failures_total{jail="login"}': 2,
        'bans_total{cause="failures",family="ipv4",jail="login"}': 2,
        'unbans_total{cause="expired",family="ipv4",jail="login"}': 1,
        'bans_active{family="ipv4",jail="login"}': 7,
    }
