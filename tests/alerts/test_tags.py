import math

import pytest

from sidecar.alerts import tags
from sidecar.alerts.compose import described, digested, jail_started
from sidecar.alerts.occurrences import Digest
from sidecar.core.actions import AlertEvent
from tests.alerts.support import ban

BAN = described(ban(7, at=1_000.0, until=math.inf, bantime=math.inf, lines=("first", "last"), ban_count=2))


def test_tags_of_a_ban():
    found = tags.values(BAN, "web1")
    text = "<ip> <failures> <name> <time> <bantime> <bancount> <family> <ip-rev> <matches> <sh-hostname> <F-USER> <x>"

    assert tags.filled(text, found, lambda _, value: value) == (
        "203.0.0.7 3 wordpress 1000 -1 2 inet4 7.0.0.203. first\nlast web1  <x>"
    )


@pytest.mark.parametrize(
    ("address", "family", "reverse"),
    [
        ("2001:db8::1", "inet6", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."),
        ("203.0.113.0/24", "inet4", "0/24.113.0.203."),
        ("no address", "inet4", ""),
    ],
)
def test_tags_of_other_addresses(address, family, reverse):
    found = tags.values(described(ban()._replace(address=address)), "")

    assert (found["family"], found["ip-rev"]) == (family, reverse)


def test_tags_of_a_digest_and_of_a_start():
    digest = Digest()
    digest.add([ban(number, jail="a" if number else "b") for number in range(3)])
    found = tags.values(digested(digest), "")

    assert (found["ip"], found["name"]) == ("203.0.0.0, 203.0.0.1, 203.0.0.2", "a, b")
    assert tags.values(jail_started("web", 5.0), "")["name"] == "web"


def test_each_value_is_escaped_for_its_place():
    shown = tags.filled("<ip>/<matches>", tags.values(BAN, ""), lambda tag, value: f"{tag}={value!r}")

    assert shown == "ip='203.0.0.7'/matches='first\\nlast'"
    assert tags.is_tag("F-USER") and not tags.is_tag("webhook")
    assert ban().event == AlertEvent.BAN
