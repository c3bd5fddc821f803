import math

import pytest

from sidecar.firewall import kernel as kernel_module
from sidecar.firewall.kernel import _comment


def test_without_a_table_there_is_nothing(host):
    host.nft("table inet another { chain wp_sidecar {\n}\n}")

    assert host.kernel.shape() is None
    assert (host.kernel.elements("ban4"), host.kernel.intervals("net4")) == ({}, {})
    assert host.kernel.counters() == (0, {})


TABLE = """
table inet wp_sidecar {
  comment "mine"
  counter dropped4 { packets 3 bytes 180
  }
  set ban4 { typeof ip saddr; flags timeout; elements = { 203.0.113.7 timeout 1h, 203.0.113.8 }
  }
  set ban6 { typeof ip6 saddr; flags timeout; elements = { 2001:db8:1:2:: timeout 1d }
  }
  set ports { typeof th dport; elements = { 80, 443 }
  }
  set net4 { typeof ip saddr; flags interval, timeout
    elements = { 203.0.113.0-203.0.113.9 timeout 1h, 203.0.113.10-203.0.113.99, 255.255.255.0/24 }
  }
  set net6 { typeof ip6 saddr; flags interval, timeout; elements = { 2001:db8::/33 }
  }
  chain prerouting { type filter hook prerouting priority -310; meta l4proto { tcp, udp } drop; }
}
"""


def test_the_table_is_read(host):
    host.nft("table ip wp_sidecar { set ban4 { typeof ip saddr; }\n}\n" + TABLE)
    shape = host.kernel.shape()

    assert (shape.schema, shape.is_active, len(shape.rules)) == ("mine", True, 1)
    assert shape.names == ({"prerouting"}, {"ban4", "ban6", "ports", "net4", "net6"}, {"dropped4"})
    assert host.kernel.counters() == (shape.table, {"dropped4": (3, 180)})
    assert host.kernel.elements("ban4") == {
        bytes([203, 0, 113, 7]): pytest.approx(3600, abs=2),
        bytes([203, 0, 113, 8]): math.inf,
    }
    assert host.kernel.elements("ban6") == {
        bytes.fromhex("20010db8000100020000000000000000"): pytest.approx(86_400, abs=2)
    }
    assert host.kernel.elements("ports").keys() == {b"\x00\x50", b"\x01\xbb"}
    assert [host.kernel.left("ban4", bytes([203, 0, 113, last])) for last in (7, 8, 9)] == [
        pytest.approx(3600, abs=2), math.inf, None
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pieces", "comment"),
    [
        (b"", ""),
        (b"\x00\x05mine\x00", "mine"),
        # nft 1.1.7 adds its version and the time of its build.
        (b"\x00\x05mine\x00\x01\x04\x01\x01\x07\x00\x02\x08\x00\x00\x00\x00j\xc7=\xd6", "mine"),
        (b"\x01\x04\x01\x01\x07\x00\x00\x05mine\x00", "mine"),
        (b"\x01\x04\x01\x01\x07\x00", ""),
    ],
)
def test_a_comment_is_read_whatever_nft_puts_beside_it(pieces, comment):
    assert _comment(pieces) == comment


def test_intervals_are_read_even_if_they_touch_or_reach_the_last_address(host):
    host.nft(TABLE)

    assert host.kernel.intervals("net4") == {
        (0xCB007100, 0xCB007109): pytest.approx(3600, abs=2),
        (0xCB00710A, 0xCB007163): math.inf,
        (0xFFFFFF00, 0xFFFFFFFF): math.inf,
    }
    assert host.kernel.intervals("net6") == {(0x20010DB8 << 96, (0x20010DB8 << 96) + (1 << 95) - 1): math.inf}


def test_a_shape_differs_after_any_change_but_those_of_bans(host):
    host.nft(TABLE)
    before = host.kernel.shape()
    host.nft("add element inet wp_sidecar ban4 { 203.0.113.9 }")
    assert host.kernel.shape() == before

    host.nft("flush ruleset\n" + TABLE)
    assert host.kernel.shape() != before


def test_each_transaction_of_any_program_raises_the_generation(host):
    before = host.kernel.generation()
    assert host.kernel.generation() == before

    host.nft("add table ip another")
    assert host.kernel.generation() == before + 1


def test_usual_elements_are_read_the_fast_way(host, monkeypatch):
    """With `_elements` and `_counts` the same takes five times as long."""
    host.nft(
        "table inet wp_sidecar {\n"
        "set ban4 { typeof ip saddr; flags timeout; elements = { 203.0.113.7 timeout 1h }\n}\n"
        "set drops4 { typeof ip saddr; flags dynamic, timeout; timeout 7d\n"
        "elements = { 203.0.113.7 counter packets 3 bytes 180 }\n}\n}"
    )
    monkeypatch.setattr(kernel_module, "_elements", None)
    monkeypatch.setattr(kernel_module, "_counts", None)

    assert host.kernel.elements("ban4").keys() == {bytes([203, 0, 113, 7])}
    ((key, count),) = host.kernel.counts("drops4")
    assert (key, count[:2], round(count.left_s, -3)) == (bytes([203, 0, 113, 7]), (3, 180), 605_000)


def test_unusual_elements_with_counters_are_read_too(host):
    host.nft(
        "table inet wp_sidecar {\nset drops4 { typeof ip saddr; flags dynamic, timeout; timeout 7d\n"
        "elements = { 203.0.113.7 counter packets 3 bytes 180, 203.0.113.8, "
        "203.0.113.9 counter packets 1 bytes 60 timeout 1d }\n}\n}"
    )

    found = {key[3]: count.packets for key, count in host.kernel.counts("drops4")}
    assert found == {7: 3, 9: 1}
    assert host.kernel.count("drops4", bytes([203, 0, 113, 8])) is None
