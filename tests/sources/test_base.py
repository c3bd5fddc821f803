"""What sources of containers share."""

from sidecar.core.events import Topology
from sidecar.sources.base import TopologyNotifier
from tests.sources.recorder import Recorder


def test_a_topology_is_published_when_it_differs_from_the_last_one():
    recorder = Recorder()
    notifier = TopologyNotifier(recorder)
    one, two = Topology(("192.0.2.0/24",)), Topology(("198.51.100.0/24",))
    for topology in (one, one, two, two, one):
        notifier.notify(topology)

    assert recorder.topologies == [one, two, one]
