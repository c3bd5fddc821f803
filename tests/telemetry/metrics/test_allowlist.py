def test_failures_of_allowlisted_addresses_exposure_and_budget(scrape):
    scrape.metrics.allowlist.failed("blog", "ignoreip", 2)
    scrape.metrics.allowlist.exposed(3)
    scrape.metrics.allowlist.budget(exceeded=True)

    assert scrape("allowlisted_failures_total", "exposed_containers", "ban_budget_exceeded") == {
        'allowlisted_failures_total{container="blog",reason="ignoreip"}': 2,
        "exposed_containers": 3,
        "ban_budget_exceeded": 1,
    }
