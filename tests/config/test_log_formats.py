import pytest

from sidecar.access.logs import AccessLogs
from sidecar.config.log_formats import declared
from sidecar.config.settings import AllowlistSettings
from sidecar.core.events import Origin
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides

FORMAT = '$status $remote_addr "$request"'
OTHER = '%h %>s "%r"'


@pytest.mark.parametrize(
    ("jail", "label", "format_name"),
    [
        ("", "", ""),
        (FORMAT, "", "logformat of a"),
        ("", OTHER, "label wp-sidecar.log-format"),
        (FORMAT, OTHER, "label wp-sidecar.log-format"),
    ],
)
def test_a_format_is_that_of_the_containers_label_or_else_of_the_jail(jail, label, format_name):
    overrides = {"blog": Overrides({"log_format": label})} if label else {"blog": Overrides({"maxretry": 1})}
    log = (
        AccessLogs(declared([Jail("a", log_format=jail)], overrides))
        .of(Origin("docker", "blog", jails=("a",)))
        .log
    )

    assert log.format == format_name
    assert len(log.requests('200 203.0.113.7 "POST /wp-login.php HTTP/1.1"')) == (
        format_name == "logformat of a"
    )


def test_the_proxies_and_cdns_that_are_never_banned_may_name_their_clients():
    """A label's proxies do so in the log of their container, unless labels may decide about all."""
    overrides = {
        "blog": Overrides(trusted_proxies=("192.0.2.0/24",)),
        "shop": Overrides(trusted_proxies=("203.0.113.0/24",), limited=False),
    }
    found = declared([], overrides, AllowlistSettings(trusted_proxies=("198.51.100.0/24",)))

    assert [each in found.proxies for each in ("198.51.100.9", "203.0.113.9", "192.0.2.9", "173.245.48.9")] == [
        True, True, False, True,
    ]  # fmt: skip
    assert [name for name in ("blog", "shop") if "192.0.2.9" in found.proxies_of(name)] == ["blog"]
    assert "173.245.48.9" not in declared([], {}).proxies
