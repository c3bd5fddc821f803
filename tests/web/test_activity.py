"""A day in slots of ten minutes, whatever the clock does."""

from sidecar.core.address import Address
from sidecar.core.events import Ban, Hit, Origin, Turn, Unban
from sidecar.web.activity import KEPT_EVENTS, SLOT_S, SLOTS, Activity

ANN = Address("203.0.113.7")


class Firewall:
    drops = None

    def count_drops(self):
        return self.drops


def ban(**more):
    return Ban("login", ANN, 0.0, 60.0, "failures", **more)


def hit(**more):
    return Hit("login", ANN, 0.0, Origin("docker", "blog"), "line", **more)


def counts(activity):
    return [(each.at, each.failures, each.bans, each.drops) for each in activity.slots()]


def test_failures_and_bans_are_counted_in_the_slot_of_their_turn():
    activity = Activity(Firewall(), 0.0)
    activity.apply(Turn(1.0, (ban(), ban(dry_run=True)), (hit(), hit(success=True))))
    activity.apply(Turn(2 * SLOT_S + 1, (ban(),)))

    assert counts(activity) == [(0.0, 1, 1, 0), (SLOT_S, 0, 0, 0), (2 * SLOT_S, 0, 1, 0)]


def test_packets_are_counted_from_one_look_to_the_next():
    firewall = Firewall()
    activity = Activity(firewall, 0.0)
    for drops in (None, 100, 130, 5, 7):
        firewall.drops = drops
        assert activity.run(None, 1.0) == ()

    # A table that was made anew begins at 0.
    assert counts(activity) == [(0.0, 0, 0, 32)]


def test_only_a_day_is_kept_however_long_nothing_happened():
    activity = Activity(Firewall(), 0.0)
    activity.apply(Turn(0.0, (ban(),)))
    activity.apply(Turn(1e9, (ban(),)))

    slots = activity.slots()
    assert len(slots) == SLOTS
    assert [each.bans for each in slots] == [0] * (SLOTS - 1) + [1]
    assert slots[-1].at <= 1e9 < slots[-1].at + SLOT_S


def test_a_clock_that_is_set_back_loses_nothing():
    activity = Activity(Firewall(), 10 * SLOT_S)
    activity.apply(Turn(1.0, (ban(),)))

    assert counts(activity) == [(10 * SLOT_S, 0, 1, 0)]


def test_the_last_events_come_first():
    activity = Activity(Firewall(), 0.0)
    activity.apply(Turn(1.0, (ban(reason="by hand"), ban(dry_run=True), Unban("login", ANN, 1.0, "expired"))))

    assert [(each.what, each.why) for each in activity.events()] == [
        ("unbanned", "expired"),
        ("would be banned", "failures"),
        ("banned", "by hand"),
    ]
    activity.apply(Turn(2.0, (ban(),) * 1_000))
    assert len(activity.events()) == KEPT_EVENTS
