from sidecar.core.events import Origin

LOG = Origin("docker", "blog", "stdout", ("login", "probes"))


def test_each_jail_of_a_log_begins_at_zero(scrape):
    scrape.metrics.sites.begin(LOG)
    scrape.metrics.sites.begin(LOG)

    assert scrape.all("site_failures_total", "site_bans_total", "site_dry_run_bans_total") == {
        f'site_{what}_total{{container="blog",jail="{jail}"}}': 0
        for what in ("failures", "bans", "dry_run_bans")
        for jail in LOG.jails
    }


def test_bans_that_are_not_enforced_are_counted_among_all_and_on_their_own(scrape):
    scrape.metrics.sites.banned("blog", "login", 2, dry_run=False)
    scrape.metrics.sites.banned("blog", "login", 3, dry_run=True)

    assert scrape("site_bans_total", "site_dry_run_bans_total") == {
        'site_bans_total{container="blog",jail="login"}': 5,
        'site_dry_run_bans_total{container="blog",jail="login"}': 3,
    }


def test_a_container_that_is_gone_takes_its_series_along_and_begins_anew(scrape):
    scrape.metrics.sites.begin(LOG)
    scrape.metrics.sites.failed("blog", "login", 2)
    scrape.metrics.sites.log_removed("blog")

    assert scrape.all("site_failures_total", "site_bans_total") == {}

    scrape.metrics.sites.begin(LOG)

    assert set(scrape.all("site_failures_total").values()) == {0}
