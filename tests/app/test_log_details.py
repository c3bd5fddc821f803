"""What `status` says about each log: its own policy and ports, as far as they are known."""

from dataclasses import replace

from sidecar.app.log_details import LogDetails
from sidecar.app.log_states import LogStates
from sidecar.config.settings import Settings
from sidecar.core.containers import Container
from sidecar.core.events import Origin
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides
from tests.app.world import ReadableMetrics

NGINX = Container("2", "nginx", "nginx", published=frozenset({443}))
BLOG = Container("1", "blog", "wordpress", published=frozenset({8080}), front_ends=(NGINX,))
JAILS = (Jail("login", maxretry=5, bantime=60.0), Jail("probes"))


class Inputs:
    settings = Settings(JAILS, {})
    containers = (BLOG, replace(NGINX, front_ends=()))
    overrides = {"blog": Overrides({"maxretry": 9, "observe": True})}  # noqa: RUF012


def details():
    logs = LogStates(ReadableMetrics().metrics)
    logs.log_opened("blog")
    logs.batch_read(Origin("docker", "blog", "stdout", ("login",)), 3, 300, last=5.0)
    logs.batch_read(Origin("file", "/log/a", "", ("probes", "gone")), 3, 300)
    return logs, LogDetails(logs, Inputs())


def test_a_container_has_the_policy_of_its_labels_and_the_ports_that_lead_to_it():
    _, known = details()
    found = known.of("blog")

    assert (found["last"], found["ports"]) == (5.0, [443, 8080])
    (jail,) = found["jails"]
    assert (jail["name"], jail["maxretry"], jail["bantime"], jail["mode"]) == ("login", 9, 60.0, "observe")


def test_a_file_has_the_jails_as_they_are_and_no_ports():
    _, known = details()
    found = known.of("/log/a")

    assert [(jail["name"], jail["mode"]) for jail in found["jails"]] == [("probes", "enforce")]
    assert "ports" not in found
    assert "last" not in found


def test_of_a_log_that_is_gone_nothing_is_known():
    logs, known = details()
    logs.log_removed("blog")

    assert known.of("blog") == {"ports": [443, 8080]}
    assert known.of("other") == {}
