from sidecar.core.address import Address
from sidecar.core.events import Ban, Unban
from sidecar.fleet.outbox import FleetOutbox
from sidecar.fleet.protocol import Lift, key_of

ANN, BOB = Address("203.0.113.7"), Address("2001:db8:1:2::/64")
BAN = Ban("login", ANN, 990.0, 1990.0, "failures", failures=3)
UNBAN = Unban("login", ANN, 999.0, "manual")
OTHER = Lift(BOB, "login", 1.0)


def test_only_the_last_decision_about_an_address_and_a_jail_waits():
    outbox = FleetOutbox()
    outbox.put([BAN, UNBAN])

    assert len(outbox) == 1
    assert outbox.take() == [UNBAN]


def test_a_full_outbox_drops_the_oldest():
    outbox = FleetOutbox(max_waiting=1)

    assert outbox.put([BAN]) == 0
    assert outbox.put([OTHER]) == 1
    assert outbox.take() == [OTHER]


def test_other_nodes_decisions_are_overruled_until_ours_is_read_back():
    """The stream's order holds everywhere, and ours comes later in it than what is read now."""
    outbox = FleetOutbox()
    effective = [outbox.not_overruled([BAN, OTHER])]
    outbox.put([BAN])
    effective.append(outbox.not_overruled([BAN, OTHER]))
    assert not outbox.is_in_flight(key_of(BAN))
    outbox.take()
    assert outbox.is_in_flight(key_of(BAN))
    effective.append(outbox.not_overruled([BAN, OTHER]))
    outbox.landed(key_of(BAN))
    effective.append(outbox.not_overruled([BAN, OTHER]))

    assert effective == [[BAN, OTHER], [OTHER], [OTHER], [BAN, OTHER]]


def test_what_could_not_be_sent_waits_again_unless_something_newer_does():
    outbox = FleetOutbox()
    outbox.put([BAN, OTHER])
    taken = outbox.take()
    outbox.put([UNBAN])
    outbox.put_back(taken)

    assert outbox.take() == [OTHER, UNBAN]


def test_what_the_server_lost_is_published_again_unless_something_newer_is_under_way():
    outbox = FleetOutbox()
    outbox.put([UNBAN])
    outbox.put_unless_newer([BAN])
    assert outbox.take() == [UNBAN]
    outbox.put_unless_newer([BAN])
    assert outbox.take() == []
    outbox.landed(key_of(UNBAN))
    outbox.put_unless_newer([BAN])
    assert outbox.take() == [BAN]


def test_after_the_order_is_lost_nothing_of_ours_is_still_to_come():
    outbox = FleetOutbox()
    outbox.put([BAN])
    outbox.take()
    outbox.forget_in_flight()

    assert outbox.not_overruled([BAN]) == [BAN]


def test_a_drained_outbox_is_empty_and_has_nothing_in_flight():
    outbox = FleetOutbox()
    outbox.put([BAN])
    outbox.take()
    outbox.put([OTHER])

    assert outbox.drain() == [OTHER]
    assert len(outbox) == 0
    assert outbox.not_overruled([BAN, OTHER]) == [BAN, OTHER]


def test_two_lines_in_flight_about_one_address_must_both_be_read_back():
    outbox = FleetOutbox()
    for _ in range(2):
        outbox.put([BAN])
        outbox.take()
    in_flight = []
    for _ in range(2):
        outbox.landed(key_of(BAN))
        in_flight.append(outbox.is_in_flight(key_of(BAN)))

    assert in_flight == [True, False]


def test_what_waits_moves_with_a_clock_that_is_set():
    outbox = FleetOutbox()
    outbox.put([Ban("login", ANN, 10.0, 70.0, "failures"), Lift(BOB, "login", 11.0)])
    outbox.shift(1_000.0)

    assert outbox.take() == [
        Ban("login", ANN, 1_010.0, 1_070.0, "failures"),
        Lift(BOB, "login", 1_011.0),
    ]
