import pytest

from sidecar.advice.kubernetes import cilium, in_pod, source_nat
from sidecar.advice.unbannable import unbannable_failures
from sidecar.core.allowlist import CONTAINERS, GATEWAY, IGNOREIP, OWN, PRIVATE

POD = "blog/web-0/wordpress"


@pytest.mark.parametrize(
    ("site", "pods"),
    [(POD, True), ("blog", False), ("/var/log", False), ("/var/log/a.log", False), ("a/b", False)],
)
def test_a_pods_log_is_known_by_its_name(site, pods):
    assert in_pod(site) is pods


@pytest.mark.parametrize("reason", [CONTAINERS, OWN, *PRIVATE])
def test_failures_from_inside_the_cluster_are_the_services_doing(reason):
    told = source_nat(POD, reason)

    assert "externalTrafficPolicy: Local" in told
    assert unbannable_failures(POD, reason, 101).endswith(f"never banned. {told}.")


@pytest.mark.parametrize(("site", "reason"), [("blog", CONTAINERS), (POD, GATEWAY), (POD, IGNOREIP)])
def test_others_are_not(site, reason):
    assert source_nat(site, reason) is None


@pytest.mark.parametrize("device", ["cilium_host", "cilium_net"])
def test_with_cilium_packets_may_pass_by(device):
    assert "bpf.hostLegacyRouting=true" in cilium(["lo", "eth0", device], 0)


@pytest.mark.parametrize(("devices", "dropped"), [(["lo", "cali1", "cilium_vxlan"], 0), (["cilium_host"], 1)])
def test_without_it_or_once_a_packet_was_dropped_they_do_not(devices, dropped):
    assert cilium(devices, dropped) is None
