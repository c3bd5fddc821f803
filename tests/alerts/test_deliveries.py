import pytest

from sidecar.alerts.compose import started
from sidecar.alerts.deliveries import Deliveries
from sidecar.alerts.delivery import OutboxTiming
from sidecar.alerts.journal import Journal
from sidecar.core.actions import DEFAULT_EVENTS
from sidecar.runtime.problems import Problems
from tests.alerts.support import Clock, Kept, Scripted, ban, channel

STARTED = started("1", [], 0)


@pytest.fixture
def deliveries():
    return Deliveries(
        Journal(None), listener=Kept(), problems=Problems(), timing=OutboxTiming(), clock=Clock()
    )


def test_channels_are_known_before_they_have_deliveries(deliveries):
    deliveries.announce([channel(Scripted())])

    assert (deliveries.wanted, len(deliveries.channels), deliveries.all) == (DEFAULT_EVENTS, 1, ())


def test_each_channel_has_a_delivery_and_keeps_it(deliveries):
    old, kept = Scripted(name="old"), Scripted(name="kept")
    deliveries.replace([channel(old, "old"), channel(kept, "kept")])
    first = deliveries.all
    deliveries.add([(1, STARTED)])
    deliveries.replace([channel(kept, "kept"), channel(Scripted(name="new"), "new")])

    assert [each.name for each in first] == ["alerts to old", "alerts to kept"]
    assert [each.name for each in deliveries.all] == ["alerts to kept", "alerts to new"]
    assert deliveries.all[0] is first[1]
    deliveries.all[0].step()
    assert kept.texts == ["wp-sidecar 1 has started"]


def test_what_nobody_asks_for_is_not_accepted(deliveries):
    assert not deliveries.accept(STARTED)
    deliveries.replace([channel(Scripted(), others=None, actions={})])
    assert not deliveries.accept(ban(1))
    deliveries.replace([channel(Scripted())])
    assert deliveries.accept(ban(1))


def test_all_are_closed(deliveries):
    deliveries.replace([channel(Scripted())])
    deliveries.close()

    assert deliveries.all[0].step() is None
