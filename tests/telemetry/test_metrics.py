import math
import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sidecar.core.address import Address
from sidecar.core.events import Ban, Hit, Origin, Turn, Unban
from sidecar.core.queries import GuardUsage
from sidecar.telemetry.metrics import LOG_TO_DROP, FleetMetrics, Metrics
from tests.support.paths import ROOT

ANN, BOB, EVE = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:1:2::/64")
OUT, ERR = (Origin("docker", "blog", stream, ("login",)) for stream in ("stdout", "stderr"))
CAPPED = ("tracked", "evidence", "history", "names")
TABLE = ROOT / "docs" / "metrics.md"


def ban(address, jail="login", at=99.0, cause="failures"):
    return Ban(jail, address, at, math.inf, cause)


class Scrape:
    """Metrics with a registry of their own, at time 100."""

    def __init__(self, **options):
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, "1.2.3", clock=lambda: 100.0, **options)

    def __call__(self, *names):
        """`name{labels}` -> value of the series of these names that are not 0."""
        return {key: value for key, value in self.all(*names).items() if value}

    def all(self, *names):
        """The same with those that are 0."""
        lines = [line for line in generate_latest(self.registry).decode().splitlines() if line[0] != "#"]
        series = {key: float(value) for key, value in (line.rsplit(" ", 1) for line in lines)}
        return {
            key.removeprefix("wp_sidecar_"): value
            for key, value in series.items()
            if key.partition("{")[0] in [f"wp_sidecar_{name}" for name in names]
        }


@pytest.fixture
def scrape():
    return Scrape(jails=["login"], senders=["slack"])


def test_the_documentation_has_every_metric_and_no_other(scrape):
    documented = {
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in re.findall(
            r"^\| `(wp_sidecar_\w+)` \| (\w+) \| (.*?) ?\|", TABLE.read_text(), re.MULTILINE
        )
    }
    FleetMetrics(scrape.registry)
    exported = set()
    for collector in scrape.registry._collector_to_names:
        for family in collector.collect():
            if family.name.startswith("wp_sidecar_"):
                name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
                labels = ("version",) if family.type == "info" else collector._labelnames
                exported.add((name, "gauge" if family.type == "info" else family.type, tuple(labels)))

    assert documented == exported


def test_a_turn_in_figures(scrape):
    hit = Hit("login", ANN, 99.0, OUT, "line")
    scrape.metrics.follow(lambda: {("login", 4): 2, ("login", 6): 1})
    scrape.metrics.apply(Turn(99.0, (ban(ANN), ban(EVE), ban(BOB, cause="manual")), (hit, hit, hit)))

    assert scrape("failures_total", "bans_total", "bans_active", "log_to_drop_seconds_count") == {
        'failures_total{jail="login"}': 3,
        'bans_total{cause="failures",family="ipv4",jail="login"}': 1,
        'bans_total{cause="failures",family="ipv6",jail="login"}': 1,
        'bans_total{cause="manual",family="ipv4",jail="login"}': 1,
        'bans_active{family="ipv4",jail="login"}': 2,
        'bans_active{family="ipv6",jail="login"}': 1,
        "log_to_drop_seconds_count": 2,
    }


def test_bans_in_force_whatever_is_repeated(scrape):
    active = {("login", 4): 2}
    scrape.metrics.follow(lambda: active)
    assert scrape("bans_active") == {'bans_active{family="ipv4",jail="login"}': 2}

    active["login", 4] = 1
    scrape.metrics.apply(Turn(1.0, (ban(ANN, cause="manual"), Unban("login", EVE, 1.0, "manual"))))
    scrape.metrics.apply(
        Turn(2.0, (Unban("login", BOB, 2.0, "expired"), Unban("login", BOB, 2.0, "expired")))
    )

    assert scrape("bans_active", "bans_total", "unbans_total") == {
        'bans_active{family="ipv4",jail="login"}': 1,
        'bans_total{cause="manual",family="ipv4",jail="login"}': 1,
        'unbans_total{cause="manual",family="ipv6",jail="login"}': 1,
        'unbans_total{cause="expired",family="ipv4",jail="login"}': 2,
    }


def test_what_can_happen_begins_at_zero(scrape):
    series = scrape.all("bans_total", "nft_transactions_total", "dropped_packets_total", "alerts_total")

    assert set(series.values()) == {0}
    assert len(series) == 2 * 5 + 2 + 2 + 3


def test_no_series_of_creation_times(scrape):
    assert "_created" not in generate_latest(scrape.registry).decode()


def test_the_drop_is_late_by_as_much_as_the_line_is_old(scrape):
    scrape.metrics.apply(Turn(100.0, (ban(ANN, at=99.997), ban(BOB, at=99.0), ban(EVE, at=100.5))))
    buckets = scrape.all("log_to_drop_seconds_bucket")

    assert scrape("log_to_drop_seconds_sum") == {"log_to_drop_seconds_sum": pytest.approx(1.003)}
    assert len(buckets) == len(LOG_TO_DROP) + 1
    assert [buckets[f'log_to_drop_seconds_bucket{{le="{le}"}}'] for le in (0.0025, 0.005, 0.5, 1.0)] == [
        1,
        2,
        2,
        3,
    ]


def test_a_ban_that_the_firewall_did_not_take_is_no_drop(scrape):
    scrape.metrics.transaction(0.5, error=True)
    scrape.metrics.apply(Turn(100.0, (ban(ANN),)))
    scrape.metrics.transaction(0.0003)
    scrape.metrics.apply(Turn(100.0, (ban(BOB),)))

    assert scrape("log_to_drop_seconds_count", "nft_transactions_total", "nft_commit_seconds_sum") == {
        "log_to_drop_seconds_count": 1,
        'nft_transactions_total{result="error"}': 1,
        'nft_transactions_total{result="ok"}': 1,
        "nft_commit_seconds_sum": pytest.approx(0.5003),
    }


def test_what_is_read_by_container_and_stream(scrape):
    scrape.metrics.read(OUT, lines=2, size=100, last=50.0)
    scrape.metrics.read(OUT, lines=1, size=10)
    scrape.metrics.read(ERR, lines=1, size=5, last=51.0)

    assert scrape("log_lines_total", "log_bytes_total", "last_log_timestamp_seconds") == {
        'log_lines_total{container="blog",stream="stdout"}': 3,
        'log_lines_total{container="blog",stream="stderr"}': 1,
        'log_bytes_total{container="blog",stream="stdout"}': 110,
        'log_bytes_total{container="blog",stream="stderr"}': 5,
        'last_log_timestamp_seconds{container="blog"}': 51,
    }


def test_a_stream_that_comes_and_goes(scrape):
    scrape.metrics.following("blog", up=True)
    scrape.metrics.following("blog", up=False)
    scrape.metrics.following("shop", up=True)
    scrape.metrics.reconnected("blog", "idle")
    scrape.metrics.overlong("blog", 3)

    assert scrape.all("log_stream_up", "log_stream_reconnects_total", "log_lines_overlong_total") == {
        'log_stream_up{container="blog"}': 0,
        'log_stream_up{container="shop"}': 1,
        'log_stream_reconnects_total{container="blog",reason="idle"}': 1,
        'log_lines_overlong_total{container="blog"}': 3,
    }


def test_a_container_that_is_gone_takes_its_series_with_it(scrape):
    for origin in (OUT, ERR, Origin("docker", "shop", "stdout")):
        scrape.metrics.read(origin, lines=1, size=1, last=1.0)
        scrape.metrics.following(origin.name, up=True)
        scrape.metrics.reconnected(origin.name, "idle")
        scrape.metrics.overlong(origin.name)
    scrape.metrics.forget("blog")
    scrape.metrics.forget("never seen")
    text = generate_latest(scrape.registry).decode()

    assert (text.count('container="blog"'), text.count('container="shop"')) == (0, 6)

    scrape.metrics.read(OUT, lines=1, size=1)
    assert scrape("log_lines_total")['log_lines_total{container="blog",stream="stdout"}'] == 1


def test_what_the_kernel_dropped_never_falls(scrape):
    for packets, size in ((10, 600), (15, 900), (2, 120), (2, 120)):  # the third: the table was made anew
        scrape.metrics.dropped("ipv4", packets, size)

    assert scrape("dropped_packets_total", "dropped_bytes_total") == {
        'dropped_packets_total{family="ipv4"}': 17,
        'dropped_bytes_total{family="ipv4"}': 1_020,
    }


def test_what_did_not_count(scrape):
    scrape.metrics.ignored({"banned already": 3})
    scrape.metrics.ignored({"banned already": 5, "a private address": 1})

    assert scrape("ignored_total") == {
        'ignored_total{reason="banned already"}': 5,
        'ignored_total{reason="a private address"}': 1,
    }


def test_how_full_what_is_bounded_is(scrape):
    """What was given up never falls, though a jail that is gone takes its share of the guard's sum along."""
    names = ("tracked", "history_addresses", *(f"{what}_dropped_total" for what in CAPPED))
    assert len(scrape.all(*names)) == 6
    for figures, dropped in (
        (GuardUsage({"login": 7, "mail": 2}, 5, 30, 9, 1), 3),
        (GuardUsage({"login": 8}, 2, 30, 9, 1), 3),
        (GuardUsage({"login": 8}, 4, 31, 10, 1), 3),
    ):
        scrape.metrics.caps(figures, dropped)

    assert scrape(*names) == {
        'tracked{jail="login"}': 8,
        "history_addresses": 10,
        "tracked_dropped_total": 7,
        "evidence_dropped_total": 31,
        "history_dropped_total": 1,
        "names_dropped_total": 3,
    }


def test_a_reload_that_fails_leaves_the_time_of_the_one_that_did_not(scrape):
    scrape.metrics.reloaded(ok=True, at=7.0)
    scrape.metrics.reloaded(ok=False, at=8.0)
    names = ("config_last_reload_successful", "config_last_reload_success_timestamp_seconds")

    assert list(scrape.all(*names).values()) == [0, 7]


def test_the_rest(scrape):
    scrape.metrics.queue(lambda: 7)
    scrape.metrics.repaired("table")
    scrape.metrics.alerted("slack", "sent")
    scrape.metrics.alerts_dropped(4)

    assert scrape(
        "queue_length", "table_repairs_total", "alerts_total", "alerts_dropped_total", "build_info"
    ) == {
        "queue_length": 7,
        'table_repairs_total{reason="table"}': 1,
        'alerts_total{result="sent",sink="slack"}': 1,
        "alerts_dropped_total": 4,
        'build_info{version="1.2.3"}': 1,
    }


def test_a_storm_makes_no_series(scrape):
    scrape.metrics.apply(Turn(1.0, (ban(ANN),)))
    before = len(generate_latest(scrape.registry).splitlines())
    storm = tuple(ban(Address(f"198.51.{n // 250}.{n % 250}")) for n in range(10_000))
    scrape.metrics.apply(
        Turn(2.0, storm, tuple(Hit("login", each.address, 2.0, OUT, "line") for each in storm))
    )

    assert len(generate_latest(scrape.registry).splitlines()) == before
    assert scrape("bans_total") == {'bans_total{cause="failures",family="ipv4",jail="login"}': 10_001}
