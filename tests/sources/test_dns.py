import contextlib
import threading

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Hit, Origin, Read
from sidecar.runtime.loop import Inbox
from sidecar.sources.dns import (
    ANSWER_LIFETIME_S,
    ANSWER_TIMEOUT_S,
    MAX_ADDRESSES,
    MAX_QUEUED_NAMES,
    WORKERS,
    Resolver,
)
from tests.support.waiting import wait_until

SITE = Origin("file", "mail.log", jails=("mail",))
ANN, BOB = Address("203.0.113.7"), Address("2001:db8::/64")


def hit(address=""):
    return Hit("mail", Address(address), 1.0, SITE, "fail ann.example")


class Server:
    """A name server, and what it was asked."""

    def __init__(self, **known):
        self.known, self.asked = {name.replace("_", "."): found for name, found in known.items()}, []

    def __call__(self, name):
        self.asked.append(name)
        return self.known.get(name, ())


@pytest.fixture
def inbox():
    return Inbox()


@contextlib.contextmanager
def running(resolver):
    thread = threading.Thread(target=resolver.run)
    thread.start()
    yield
    resolver.close()
    thread.join(60)
    assert not thread.is_alive()


def test_a_name_becomes_hits_of_all_its_addresses(inbox):
    resolver = Resolver(inbox, Server(ann_example=(ANN, BOB)))
    resolver.ask("ann.example", [hit()])
    with running(resolver):
        assert inbox.drain(10) == [Read(SITE, (hit(ANN), hit(BOB)))]


def test_a_name_without_address_has_no_hits(inbox):
    server = Server()
    resolver = Resolver(inbox, server)
    resolver.ask("nobody.example", [hit()])
    with running(resolver):
        wait_until(lambda: server.asked == ["nobody.example"])

    assert (inbox.drain(0), resolver.dropped) == ([], 0)


def test_only_a_few_addresses_of_a_name_count(inbox):
    many = tuple(Address(f"203.0.113.{n}") for n in range(MAX_ADDRESSES + 5))
    resolver = Resolver(inbox, Server(ann_example=many))
    resolver.ask("ann.example", [hit()])
    with running(resolver):
        (read,) = inbox.drain(10)

    assert [each.address for each in read.hits] == list(many[:MAX_ADDRESSES])


def test_an_answer_is_kept_for_a_while(inbox):
    server, now = Server(ann_example=(ANN,)), [0.0]
    resolver, asked = Resolver(inbox, server, lambda: now[0]), []
    with running(resolver):
        for now[0] in (0.0, ANSWER_LIFETIME_S - 1, ANSWER_LIFETIME_S):
            resolver.ask("ann.example", [hit()])
            assert inbox.drain(10) == [Read(SITE, (hit(ANN),))]
            asked.append(len(server.asked))

    assert asked == [1, 1, 2]


def test_an_answer_that_comes_too_late_is_not_used(inbox):
    now = [0.0]

    def slow(_):
        now[0] += ANSWER_TIMEOUT_S + 1
        return (ANN,)

    resolver = Resolver(inbox, slow, lambda: now[0])
    resolver.ask("ann.example", [hit()])
    with running(resolver):
        wait_until(lambda: resolver.dropped == 1)

    assert inbox.drain(0) == []


def test_a_flood_of_names_is_dropped_and_never_waited_for(inbox):
    resolver = Resolver(inbox, Server())
    for n in range(MAX_QUEUED_NAMES + 10):
        resolver.ask(f"{n}.example", [hit()])

    assert resolver.dropped == 10
    resolver.close()


def test_a_name_server_without_answer_holds_up_one_worker_only(inbox):
    go_on = threading.Event()

    def lookup(name):
        if name == "slow.example":
            go_on.wait(60)
        return (ANN,)

    assert WORKERS > 1
    resolver = Resolver(inbox, lookup)
    for name in ("slow.example", "ann.example"):
        resolver.ask(name, [hit()])
    with running(resolver):
        assert inbox.drain(10) == [Read(SITE, (hit(ANN),))]
        go_on.set()
