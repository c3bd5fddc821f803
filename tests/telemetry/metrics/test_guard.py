from sidecar.core.events import IgnoredReason
from sidecar.core.queries import GuardUsage
from sidecar.core.refused_bans import RefusalReason

DROPPED = (
    "tracked_addresses_dropped_total",
    "evidence_lines_dropped_total",
    "history_addresses_dropped_total",
    "unresolved_failures_total",
)
EMPTY = GuardUsage({"login": 0}, 0, 0, 0, 0, {})


def test_failures_that_did_not_count(scrape):
    scrape.metrics.guard.update(EMPTY, {IgnoredReason.ALREADY_BANNED: 3}, 0)
    scrape.metrics.guard.update(EMPTY, {IgnoredReason.ALREADY_BANNED: 5, "a private address": 1}, 0)

    assert scrape("ignored_failures_total") == {
        f'ignored_failures_total{{reason="{IgnoredReason.ALREADY_BANNED.value}"}}': 5,
        'ignored_failures_total{reason="a private address"}': 1,
    }


def test_every_reason_begins_at_zero(scrape):
    series = scrape.all("ignored_failures_total")

    assert set(series.values()) == {0}
    assert len(series) == len(IgnoredReason) + len(RefusalReason) + 1


def test_how_full_the_guard_is(scrape):
    """What was dropped never falls, although a jail that is gone takes its share of the sum along."""
    assert len(scrape.all("tracked_addresses", "history_addresses", *DROPPED)) == 6
    for figures in (
        GuardUsage({"login": 7, "mail": 2}, 5, 30, 9, 1, {}),
        GuardUsage({"login": 8}, 2, 30, 9, 1, {}),
        GuardUsage({"login": 8}, 4, 31, 10, 1, {}),
    ):
        scrape.metrics.guard.update(figures, {}, 3)

    assert scrape("tracked_addresses", "history_addresses", *DROPPED) == {
        'tracked_addresses{jail="login"}': 8,
        "history_addresses": 10,
        "tracked_addresses_dropped_total": 7,
        "evidence_lines_dropped_total": 31,
        "history_addresses_dropped_total": 1,
        "unresolved_failures_total": 3,
    }


def test_what_each_filter_costs_and_finds(scrape):
    scrape.metrics.filters.update({"wordpress": (0.5, 3)}, 1)
    scrape.metrics.filters.update({"wordpress": (0.75, 4)}, 2)

    assert scrape("filter_seconds_total", "filter_matches_total", "search_lost_lines_total") == {
        'filter_seconds_total{filter="wordpress"}': 0.75,
        'filter_matches_total{filter="wordpress"}': 4,
        "search_lost_lines_total": 2,
    }


def test_refused_bans_are_counted_by_reason(scrape):
    assert set(scrape.all("refused_bans_total").values()) == {0}
    scrape.metrics.guard.refused_bans({RefusalReason.UNKNOWN: 2})
    scrape.metrics.guard.refused_bans({RefusalReason.UNKNOWN: 3})

    assert scrape("refused_bans_total") == {
        f'refused_bans_total{{reason="{RefusalReason.UNKNOWN.value}"}}': 3
    }


def test_addresses_at_sites_are_those_of_their_jail(scrape):
    scrape.metrics.guard.update(
        GuardUsage({"login": 1, "login@blog": 2, "login@shop": 4}, 0, 0, 0, 0, {}), {}, 0
    )

    assert scrape("tracked_addresses") == {'tracked_addresses{jail="login"}': 7}
