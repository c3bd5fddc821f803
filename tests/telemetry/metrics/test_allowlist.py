def test_the_share_of_the_address_space_by_reason(scrape):
    scrape.metrics.allowlist.covered({4: {"ignoreip": 0.25, "a gateway": 0.5}, 6: {"ignoreip": 0.125}})
    scrape.metrics.allowlist.covered({4: {"ignoreip": 0.5}, 6: {"ignoreip": 0.125}})

    assert scrape("allowlist_share") == {
        'allowlist_share{family="ipv4",reason="ignoreip"}': 0.5,
        'allowlist_share{family="ipv6",reason="ignoreip"}': 0.125,
    }


def test_failures_of_allowlisted_addresses_exposure_and_budget(scrape):
    scrape.metrics.allowlist.failed("blog", "ignoreip", 2)
    scrape.metrics.allowlist.update()
    scrape.metrics.allowlist.exposed(3)
    scrape.metrics.allowlist.budget(exceeded=True)

    assert scrape("allowlisted_failures_total", "exposed_containers", "ban_budget_exceeded") == {
        'allowlisted_failures_total{container="blog",reason="ignoreip"}': 2,
        "exposed_containers": 3,
        "ban_budget_exceeded": 1,
    }


def test_a_series_is_zero_before_it_has_its_first_failures(scrape):
    """So that Prometheus sees them as an increase."""
    metrics, series = (
        scrape.metrics.allowlist,
        'allowlisted_failures_total{container="blog",reason="a gateway"}',
    )
    metrics.failed("blog", "a gateway", 2)
    metrics.failed("blog", "a gateway", 1)
    assert scrape.all("allowlisted_failures_total") == {series: 0}

    metrics.update()
    metrics.failed("blog", "a gateway", 1)
    metrics.update()
    assert scrape("allowlisted_failures_total") == {series: 4}


def test_a_container_that_is_gone_takes_its_first_failures_along(scrape):
    scrape.metrics.allowlist.failed("blog", "a gateway", 2)
    scrape.metrics.allowlist.log_removed("blog")
    scrape.metrics.allowlist.update()

    assert scrape.all("allowlisted_failures_total") == {}
