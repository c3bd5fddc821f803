"""What an operator of a cluster has to change so that bans have an effect."""

import pytest

from sidecar.advice.kubernetes import cilium_bypass, is_pod_log, replaced_client_address
from sidecar.advice.unbannable import unbannable_failures
from sidecar.core.allowlist import CONTAINERS, GATEWAY, IGNOREIP, OWN, PRIVATE

POD = "blog/web-0/wordpress"


@pytest.mark.parametrize(
    ("name", "pods"),
    [(POD, True), ("blog", False), ("/var/log", False), ("/var/log/a.log", False), ("a/b", False)],
)
def test_a_pods_log_is_recognised_by_its_name(name, pods):
    assert is_pod_log(name) is pods


@pytest.mark.parametrize("reason", [CONTAINERS, OWN, *PRIVATE])
def test_failures_from_inside_the_cluster_are_explained_by_the_service(reason):
    advice = replaced_client_address(POD, reason)

    assert "externalTrafficPolicy: Local" in advice
    assert unbannable_failures(POD, reason, 101).endswith(f"never banned. {advice}.")


@pytest.mark.parametrize(("name", "reason"), [("blog", CONTAINERS), (POD, GATEWAY), (POD, IGNOREIP)])
def test_other_logs_and_reasons_are_not(name, reason):
    assert replaced_client_address(name, reason) is None


@pytest.mark.parametrize("interface", ["cilium_host", "cilium_net"])
def test_with_cilium_packets_may_bypass_the_firewall(interface):
    assert "bpf.hostLegacyRouting=true" in cilium_bypass(["lo", "eth0", interface], 0)


@pytest.mark.parametrize(
    ("interfaces", "dropped"), [(["lo", "cali1", "cilium_vxlan"], 0), (["cilium_host"], 1)]
)
def test_without_cilium_or_once_a_packet_was_dropped_they_do_not(interfaces, dropped):
    assert cilium_bypass(interfaces, dropped) is None
