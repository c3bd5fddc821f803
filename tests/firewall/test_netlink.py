import math
import socket
import struct

import pytest

from sidecar.firewall import FirewallError, NoPermission, edits
from sidecar.firewall.edits import Put
from sidecar.firewall.netlink import HEADER, Netlink, attributes, messages
from sidecar.firewall.nft import Nft

GETTABLE = 1
DONE = HEADER.pack(HEADER.size + 4, 3, 0, 1, 0) + bytes(4)


def answer(text, flags=0):
    """A message with one attribute of kind 1."""
    body = bytes(4) + struct.pack("=HH", 4 + len(text), 1) + text
    return HEADER.pack(HEADER.size + len(body), 2560, flags, 1, 0) + body


def error(code):
    return HEADER.pack(HEADER.size + 4, 2, 0, 1, 0) + struct.pack("=i", -code)


@pytest.fixture
def speak():
    """A netlink with a kernel that answers with these datagrams."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    netlink = Netlink()

    def speak(*datagrams):
        ours.settimeout(0.05)
        netlink._socket = ours
        for datagram in datagrams:
            kernels.send(datagram)
        return netlink

    with ours, kernels:
        yield speak


def test_answers_may_come_in_several_datagrams(speak):
    assert speak(answer(b"one!") + answer(b"two!"), answer(b"more"), DONE).ask(GETTABLE) == [
        {1: b"one!"},
        {1: b"two!"},
        {1: b"more"},
    ]


def test_answers_during_which_the_rules_changed_are_asked_for_again(speak):
    assert speak(answer(b"half", flags=0x10) + DONE, answer(b"both") + DONE).ask(GETTABLE) == [{1: b"both"}]


def test_asking_ends_if_the_rules_never_stop_changing(speak):
    with pytest.raises(FirewallError, match="another program changes its rules all the time"):
        speak(*(answer(b"half", flags=0x10) + DONE for _ in range(20))).ask(GETTABLE)


def test_an_absent_object_is_nothing(speak):
    assert speak(error(2)).ask(GETTABLE) == []


def test_a_refusal_is_an_error(speak):
    with pytest.raises(NoPermission, match="NET_ADMIN"):
        speak(error(1)).ask(GETTABLE)


def test_a_kernel_that_does_not_answer_is_an_error(speak):
    with pytest.raises(FirewallError, match="reading the firewall failed: timed out"):
        speak().ask(GETTABLE)


def test_after_a_failure_the_next_question_opens_another_socket(host, speak):
    netlink = speak()
    with pytest.raises(FirewallError):
        netlink.ask(GETTABLE)

    assert netlink.ask(GETTABLE) == []
    netlink.close()


def test_messages_and_attributes_are_cut_where_their_lengths_say():
    one, two = HEADER.pack(19, 7, 0, 1, 42) + b"abc\0", HEADER.pack(20, 8, 2, 1, 42) + b"wxyz"
    nested = struct.pack("=HH", 5, 0x8001) + b"a\0\0\0" + struct.pack("=HH", 8, 2) + b"bcde"

    assert list(messages(one + two)) == [(7, 0, b"abc"), (8, 2, b"wxyz")]
    assert attributes(nested) == {1: b"a", 2: b"bcde"}


def test_a_transaction_for_another_generation_is_not_made(host):
    Nft().run(["add table inet wp_sidecar", "add set inet wp_sidecar ban4 { typeof ip saddr; }"])
    generation = host.kernel.generation()
    changes = edits.messages([Put("ban4", "203.0.113.7", math.inf)])

    assert host.kernel.commit(changes, generation - 1) is False
    assert host.kernel.elements("ban4") == {}
    assert host.kernel.commit(changes, generation) is True
    assert host.kernel.elements("ban4").keys() == {socket.inet_aton("203.0.113.7")}
    assert host.kernel.generation() == generation + 1
