import pytest

from sidecar.access.logs import AccessLogs
from sidecar.config.log_formats import declared
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
