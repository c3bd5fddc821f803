import pytest

from sidecar.app.host_network import NAMESPACE_PROBLEM, HostNetwork
from sidecar.core.events import Topology
from sidecar.runtime.problems import Problems
from tests.app.world import BLOG


@pytest.mark.parametrize(
    ("own", "is_ours"), [(["172.17.0.1"], True), (["172.17.0.9"], False)], ids=["host", "elsewhere"]
)
def test_the_last_topology_decides(own, is_ours):
    problems = Problems()
    network = HostNetwork(lambda: own, problems)
    assert network.is_ours is None

    network.judge(Topology(("172.17.0.0/16", "172.17.0.1/32"), (BLOG,)))
    assert network.is_ours is is_ours
    assert (problems.about(NAMESPACE_PROBLEM) is not None) is problems.critical is not is_ours

    network.judge(Topology())
    assert network.is_ours is None
    assert problems.sentences == ()
