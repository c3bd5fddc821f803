import threading

from sidecar.app.host_names import MAX_ADDRESSES, STALE_AFTER_S, HostNames, Lookups, WatchedNames
from sidecar.core.address import Address
from tests.app.world import Changes
from tests.support.waiting import wait_until

ANN, BOB = Address("203.0.113.7"), Address("2001:db8::/64")
OFFICE = "office.example"
UNRESOLVED = (
    "ofice.example in ignoreip does not resolve, so its addresses may be banned; correct the name, or see whether "
    "the name servers in /etc/resolv.conf answer"
)


class World:
    """A DNS server, a clock, and what the service notifies."""

    def __init__(self, *names, **known):
        self.known = {name.replace("_", "."): addresses for name, addresses in known.items()}
        self.now, self.changes, self.notified = 0.0, Changes(), []
        self.names = WatchedNames()
        self.names.replace(names)
        problems = self.changes.problems()
        self.problems = problems
        self.service = HostNames(self.names, self, problems, Lookups(self.ask, lambda: self.now))

    def ask(self, name):
        return self.lookup(name)

    def lookup(self, name):
        return self.known.get(name, ())

    def on_names_resolved(self, resolved):
        self.notified.append(resolved)


def test_answers_are_notified_once():
    world = World(OFFICE, "home.example", office_example=(ANN,), home_example=(BOB, ANN))
    world.service.resolve()
    world.service.resolve()

    # Sorted, so that an answer in another order is the same.
    assert world.notified == [{OFFICE: (ANN,), "home.example": (BOB, ANN)}]
    assert world.changes == []


def test_a_new_answer_replaces_the_old():
    world = World(OFFICE, office_example=(ANN,))
    world.service.resolve()
    world.known[OFFICE] = (BOB,)
    world.service.resolve()

    assert world.notified == [{OFFICE: (ANN,)}, {OFFICE: (BOB,)}]


def test_the_last_answer_holds_and_after_an_hour_it_is_reported():
    world = World(OFFICE, office_example=(ANN,))
    world.service.resolve()
    world.known.clear()
    world.now = STALE_AFTER_S
    world.service.resolve()
    assert world.changes == []

    world.now = 3 * STALE_AFTER_S
    world.service.resolve()
    assert world.changes == [
        (
            f"the name {OFFICE}",
            f"{OFFICE} in ignoreip has not resolved for 3 h; 203.0.113.7 stays on the allowlist",
        )
    ]
    assert world.notified == [{OFFICE: (ANN,)}]
    assert not world.problems.critical


def test_a_name_that_never_resolved_is_reported_until_it_does():
    world = World("ofice.example")
    world.service.resolve()
    assert world.changes == [
        (
            "the name ofice.example",
            UNRESOLVED,
        )
    ]

    world.known["ofice.example"] = (ANN,)
    world.service.resolve()
    assert world.changes[1:] == [("the name ofice.example", None)]


def test_a_name_that_left_the_configuration_is_forgotten():
    world = World(OFFICE, "gone.example", office_example=(ANN,))
    world.service.resolve()
    world.names.replace([])
    world.service.resolve()

    assert world.notified == [{OFFICE: (ANN,)}, {}]
    assert world.changes[-1] == ("the name gone.example", None)


def test_only_new_names_are_a_reason_to_resolve_at_once():
    names = WatchedNames()
    names.replace([OFFICE])
    names.wait(0)
    woken = threading.Event()

    def wait():
        names.wait(60)
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    names.replace([OFFICE, OFFICE])
    assert not woken.wait(0.1)

    names.replace([OFFICE, "home.example"])
    assert woken.wait(60)
    thread.join()
    assert names.current == (OFFICE, "home.example")


def test_a_slow_name_delays_no_other_and_is_not_looked_up_twice():
    go, asked = threading.Event(), []

    def lookup(name):
        asked.append(name)
        if name == "slow.example":
            go.wait(60)
        return (ANN,)

    world = World("slow.example", "fast.example")
    world.lookup = lookup
    world.service.resolve(timeout_s=0.2)
    world.service.resolve(timeout_s=0.2)
    assert world.notified == [{"fast.example": (ANN,)}]
    assert sorted(asked) == ["fast.example", "fast.example", "slow.example"]

    go.set()
    wait_until(lambda: world.service.resolve() or len(world.notified[-1]) == 2)
    assert world.notified[-1] == {"slow.example": (ANN,), "fast.example": (ANN,)}


def test_a_name_stands_for_a_few_addresses_at_most():
    crowd = tuple(Address(f"198.51.100.{n}") for n in range(100))
    world = World("crowd.example", crowd_example=crowd)
    world.service.resolve()

    assert len(world.notified[0]["crowd.example"]) == MAX_ADDRESSES


def test_the_start_waits_for_the_first_answers_but_not_for_long():
    go = threading.Event()
    world = World("slow.example", slow_example=(ANN,))
    world.lookup = lambda _: go.wait(60) and (ANN,)
    # Nobody runs the service yet.
    world.service.wait_for_first_round(0.05)
    go.set()
    thread = threading.Thread(target=world.service.run)
    thread.start()
    world.service.wait_for_first_round(10)
    notified = list(world.notified)
    world.service.close()
    thread.join(60)

    assert notified == [{"slow.example": (ANN,)}]
    assert not thread.is_alive()


def test_without_names_the_start_does_not_wait():
    began = threading.Event()
    thread = threading.Thread(target=lambda: (World().service.wait_for_first_round(60), began.set()))
    thread.start()

    assert began.wait(60)
