import threading

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Hit, Origin, Read
from sidecar.runtime.loop import Inbox
from sidecar.sources.dns import KEPT, TIMEOUT, WAITING, WORKERS, Resolver, addresses

SITE = Origin("file", "mail.log", jails=("mail",))
ANN = Address("203.0.113.7")


def hit(whose=""):
    return Hit("mail", Address(whose), 1.0, SITE, "fail ann.example")


class Names:
    """A name server, and what it was asked."""

    def __init__(self, **known):
        self.known, self.asked = {name.replace("_", "."): address for name, address in known.items()}, []

    def __call__(self, name):
        self.asked.append(name)
        return self.known.get(name, ())


@pytest.fixture
def inbox():
    return Inbox()


def played(resolver, *asked):
    """All that is asked is answered, and the workers end."""
    for name in asked:
        resolver.ask(name, [hit()])
    resolver.close()
    resolver.run()


def test_a_name_becomes_the_hits_of_all_whom_it_stands_for(inbox):
    bob = Address("2001:db8::/64")
    played(Resolver(inbox, Names(ann_example=(ANN, bob))), "ann.example", "nobody.example")

    assert inbox.drain(0) == [Read(SITE, (hit(ANN), hit(bob)))]


def test_an_answer_is_kept_for_a_while(inbox):
    names, now = Names(ann_example=(ANN,)), [0.0]
    resolver = Resolver(inbox, names, lambda: now[0])
    assert [resolver._answer("ann.example") for _ in range(3)] == [(ANN,)] * 3
    assert names.asked == ["ann.example"]

    now[0] = KEPT
    resolver._answer("ann.example")
    assert names.asked == ["ann.example"] * 2


def test_an_answer_that_comes_too_late_counts_against_nobody(inbox):
    now = [0.0]

    def slow(_):
        now[0] += TIMEOUT + 1
        return (ANN,)

    resolver = Resolver(inbox, slow, lambda: now[0])
    played(resolver, "ann.example")

    assert (inbox.drain(0), resolver.dropped) == ([], 1)


def test_a_flood_of_names_is_let_go_and_never_waited_for(inbox):
    resolver = Resolver(inbox, Names())
    for n in range(WAITING + 10):
        resolver.ask(f"{n}.example", [hit()])

    assert resolver.dropped == 10
    resolver.close()


def test_a_name_server_that_hangs_holds_up_one_worker_only(inbox):
    hang = threading.Event()

    def lookup(name):
        if name == "slow.example":
            hang.wait(30)
        return (ANN,)

    resolver = Resolver(inbox, lookup)
    thread = threading.Thread(target=resolver.run)
    thread.start()
    for name in ("slow.example", "ann.example"):
        resolver.ask(name, [hit()])

    assert inbox.drain(10) == [Read(SITE, (hit(ANN),))]
    hang.set()
    resolver.close()
    thread.join(10)
    assert not thread.is_alive()


def test_numbers_are_addresses_and_nonsense_is_nobody():
    assert addresses("203.0.113.7") == (ANN,)
    assert addresses("no such name") == addresses("a" * 300) == ()
    assert WORKERS > 1
