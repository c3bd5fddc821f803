import pytest

from sidecar.firewall import RepairKind


def test_transactions_are_counted_by_result_and_measured(scrape):
    scrape.metrics.firewall.transaction(0.5, error=True)
    assert not scrape.metrics.firewall.in_step
    scrape.metrics.firewall.transaction(0.0003)
    assert scrape.metrics.firewall.in_step

    assert scrape("firewall_transactions_total", "firewall_transaction_duration_seconds_sum") == {
        'firewall_transactions_total{result="error"}': 1,
        'firewall_transactions_total{result="ok"}': 1,
        "firewall_transaction_duration_seconds_sum": pytest.approx(0.5003),
    }


def test_what_the_kernel_dropped_never_falls(scrape):
    """The third time, the table was created again."""
    for packets, size in ((10, 600), (15, 900), (2, 120), (2, 120)):
        scrape.metrics.firewall.dropped("ipv4", packets, size)

    assert scrape("dropped_packets_total", "dropped_bytes_total") == {
        'dropped_packets_total{family="ipv4"}': 17,
        'dropped_bytes_total{family="ipv4"}': 1_020,
    }


def test_repairs_bypasses_and_the_share_that_is_enforced(scrape):
    scrape.metrics.firewall.repaired("table")
    scrape.metrics.firewall.bypassed("hook")
    scrape.metrics.firewall.enforced(3, 4)
    assert scrape("firewall_repairs_total", "bypassed_bans_total", "firewall_enforcement_ratio") == {
        'firewall_repairs_total{reason="table"}': 1,
        'bypassed_bans_total{kind="hook"}': 1,
        "firewall_enforcement_ratio": 0.75,
    }

    scrape.metrics.firewall.enforced(0, 0)
    assert scrape("firewall_enforcement_ratio") == {"firewall_enforcement_ratio": 1}


def test_every_counter_begins_at_zero(scrape):
    series = scrape.all(
        "firewall_transactions_total",
        "firewall_repairs_total",
        "bypassed_bans_total",
        "dropped_packets_total",
    )

    assert set(series.values()) == {0}
    assert len(series) == 2 + len(RepairKind) + 2 + 2
