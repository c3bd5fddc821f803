import math

from sidecar.alerts.compose import problem, resolved
from sidecar.alerts.sink import AlertSink
from sidecar.core.address import Address
from sidecar.core.events import Ban, BanCause, Turn, Unban, UnbanCause

ANN = Address("203.0.113.7")
BAN = Ban("wordpress", ANN, 0.0, 60.0, BanCause.FAILURES, failures=3)
BY_HAND = Ban("manual", ANN, 0.0, math.inf, BanCause.MANUAL)
FROM_THE_FLEET = Ban("wordpress", ANN, 0.0, 60.0, BanCause.FLEET)


class KeptChannel:
    """An AlertChannel that keeps what is published."""

    def __init__(self):
        self.got = []

    def publish(self, notice):
        self.got.append(notice)

    def publish_bans(self, bans):
        self.got += bans


def test_only_bans_that_this_host_decided_are_published():
    kept = KeptChannel()
    unban = Unban("wordpress", ANN, 0.0, UnbanCause.EXPIRED)
    AlertSink([kept]).apply(Turn(0.0, (BAN, FROM_THE_FLEET, BY_HAND, unban)))
    AlertSink([kept]).apply(Turn(0.0))

    assert kept.got == [BAN, BY_HAND]


def test_a_problem_and_its_end_are_published_on_every_channel():
    one, two = KeptChannel(), KeptChannel()
    alerts = AlertSink([one, two])
    alerts.problem_changed("firewall", "nft is gone")
    alerts.problem_changed("firewall", None)

    assert one.got == two.got == [problem("firewall", "nft is gone"), resolved("firewall")]
