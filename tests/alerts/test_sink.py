import math

from sidecar.alerts.compose import jail_started, jail_stopped, problem, resolved, started, stopped
from sidecar.alerts.occurrences import Occurrence
from sidecar.alerts.sink import AlertSink, StoredTurns
from sidecar.core.actions import DEFAULT_EVENTS, AlertEvent
from sidecar.core.address import Address
from sidecar.core.events import Ban, BanCause, Bypass, Hit, Origin, Turn, Unban, UnbanCause

ANN = Address("203.0.113.7")
BAN = Ban("wordpress", ANN, 0.0, 60.0, BanCause.FAILURES, failures=3, decided_at=5.0)
BY_HAND = Ban("manual", ANN, 0.0, math.inf, BanCause.MANUAL, decided_at=5.0)
FROM_THE_FLEET = Ban("wordpress", ANN, 0.0, 60.0, BanCause.FLEET)
ADOPTED = Ban("wordpress", ANN, 0.0, 60.0, BanCause.ADOPTED)
UNBAN = Unban("wordpress", ANN, 5.0, UnbanCause.EXPIRED)
HIT = Hit("wordpress", ANN, 5.0, Origin("docker", "blog"), "a line")


class KeptMessages:
    """An AlertPublisher that keeps what is published."""

    def __init__(self, *events):
        self.got, self.wanted, self.committed = [], events or DEFAULT_EVENTS, 0

    def publish_notice(self, notice):
        self.got.append(notice)

    def publish_occurrences(self, occurrences):
        self.got += occurrences

    def prepare(self, occurrences):
        self.got += occurrences

    def commit(self):
        self.committed += 1


def test_only_bans_that_this_host_decided_are_published():
    kept = KeptMessages()
    turn = Turn(5.0, (BAN, FROM_THE_FLEET, ADOPTED, BY_HAND, UNBAN), (HIT,))
    AlertSink(kept).apply(turn)
    AlertSink(kept).apply(Turn(0.0))

    assert kept.got == [Occurrence.of_ban(BAN, 5.0), Occurrence.of_ban(BY_HAND, 5.0)]


def test_what_was_prepared_is_sent_once_the_turn_is_stored():
    kept = KeptMessages()
    StoredTurns(kept).apply(Turn(5.0, (BAN,)))

    assert (kept.got, kept.committed) == ([], 1)


def test_unbans_and_failures_are_published_where_they_are_wanted():
    kept = KeptMessages(AlertEvent.UNBAN, AlertEvent.FOUND)
    lifted_elsewhere = Unban("wordpress", ANN, 5.0, UnbanCause.FLEET)
    AlertSink(kept).apply(Turn(5.0, (BAN, UNBAN, lifted_elsewhere), (HIT, HIT._replace(success=True))))

    assert kept.got == [Occurrence.of_hit(HIT), Occurrence.of_unban(UNBAN)]


def test_start_and_stop_are_published_for_the_daemon_and_for_each_jail():
    kept = KeptMessages()
    AlertSink(kept).started("1", ["a", "b"], 3, 5.0)
    AlertSink(kept).stopped(["a"], 3, 6.0)

    assert kept.got == [
        started("1", ["a", "b"], 3), jail_started("a", 5.0), jail_started("b", 5.0),
        jail_stopped("a", 6.0), stopped(3),
    ]  # fmt: skip


def test_a_problem_its_end_and_a_bypass_are_published():
    kept = KeptMessages()
    alerts = AlertSink(kept)
    bypass = Occurrence.of_bypass(Bypass("wordpress", ANN, 1.0, "blog"), "a proxy")
    alerts.problem_changed("firewall", "nft is gone")
    alerts.problem_changed("firewall", None)
    alerts.publish_occurrence(bypass)

    assert kept.got == [problem("firewall", "nft is gone"), resolved("firewall"), bypass]
