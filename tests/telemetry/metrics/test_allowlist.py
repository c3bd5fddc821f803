def test_the_share_of_the_address_space_by_reason(scrape):
    scrape.metrics.allowlist.covered({4: {"ignoreip": 0.25, "a gateway": 0.5}, 6: {"ignoreip": 0.125}})
    scrape.metrics.allowlist.covered({4: {"ignoreip": 0.5}, 6: {"ignoreip": 0.125}})

    assert scrape("allowlist_share") == {
        'allowlist_share{family="ipv4",reason="ignoreip"}': 0.5,
        'allowlist_share{family="ipv6",reason="ignoreip"}': 0.125,
    }


def test_failures_of_allowlisted_addresses_exposure_and_budget(scrape):
    scrape.metrics.allowlist.failed("blog", "ignoreip", 2)
    scrape.metrics.allowlist.exposed(3)
    scrape.metrics.allowlist.budget(exceeded=True)

    assert scrape("allowlisted_failures_total", "exposed_containers", "ban_budget_exceeded") == {
        'allowlisted_failures_total{container="blog",reason="ignoreip"}': 2,
        "exposed_containers": 3,
        "ban_budget_exceeded": 1,
    }
