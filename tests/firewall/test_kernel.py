import math
import struct

import pytest

from sidecar.firewall import kernel


def test_nothing_is_there_before_we_are(host):
    host.nft("table inet another { chain wp_sidecar {\n}\n}")

    assert kernel.shape() is None
    assert kernel.table() is None
    assert (kernel.elements("ban4"), kernel.intervals("net4"), kernel.dropped()) == ({}, {}, {})


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


def test_what_is_there_is_read(host):
    host.nft("table ip wp_sidecar { set ban4 { typeof ip saddr; }\n}\n" + TABLE)
    shape = kernel.shape()

    assert (shape.schema, shape.awake, len(shape.rules)) == ("mine", True, 1)
    assert shape.names == ({"prerouting"}, {"ban4", "ban6", "ports", "net4", "net6"}, {"dropped4"})
    assert kernel.dropped() == {"dropped4": (3, 180)}
    assert kernel.elements("ban4") == {
        bytes([203, 0, 113, 7]): pytest.approx(3600, abs=2),
        bytes([203, 0, 113, 8]): math.inf,
    }
    assert kernel.elements("ban6") == {
        bytes.fromhex("20010db8000100020000000000000000"): pytest.approx(86_400, abs=2)
    }
    assert kernel.elements("ports").keys() == {b"\x00\x50", b"\x01\xbb"}


def test_intervals_are_read_whether_neighbours_touch_or_reach_the_last_address(host):
    host.nft(TABLE)

    assert kernel.intervals("net4") == {
        (0xCB007100, 0xCB007109): pytest.approx(3600, abs=2),
        (0xCB00710A, 0xCB007163): math.inf,
        (0xFFFFFF00, 0xFFFFFFFF): math.inf,
    }
    assert kernel.intervals("net6") == {(0x20010DB8 << 96, (0x20010DB8 << 96) + (1 << 95) - 1): math.inf}


def test_a_shape_differs_once_anything_was_touched_and_not_by_bans(host):
    host.nft(TABLE)
    before = kernel.shape()
    host.nft("add element inet wp_sidecar ban4 { 203.0.113.9 }")
    assert kernel.shape() == before

    host.nft("flush ruleset\n" + TABLE)
    assert kernel.shape() != before


def test_a_read_that_others_disturb_is_repeated(monkeypatch):
    answers = [([{1: b"half"}], False), ([{1: b"whole"}], True)]
    monkeypatch.setattr(kernel, "_read", lambda *_: answers.pop(0))

    assert kernel._dump(kernel.GETTABLE) == [{1: b"whole"}]


def test_reading_gives_up_where_others_never_stop(monkeypatch):
    monkeypatch.setattr(kernel, "_read", lambda *_: ([], False))

    with pytest.raises(kernel.FirewallError, match="someone changes its rules all the time"):
        kernel._dump(kernel.GETTABLE)


def test_a_kernel_that_does_not_answer_is_told(monkeypatch):
    def silent(*_):
        raise TimeoutError("timed out")

    monkeypatch.setattr(kernel, "_read", silent)

    with pytest.raises(kernel.FirewallError, match="reading the firewall failed: timed out"):
        kernel._dump(kernel.GETTABLE)


def test_messages_are_cut_where_their_lengths_say():
    one = struct.pack("=IHHII", 19, 7, 0, 1, 42) + b"abc\0"
    two = struct.pack("=IHHII", 20, 8, 2, 1, 42) + b"wxyz"

    assert list(kernel.messages(one + two)) == [(7, 0, 42, b"abc"), (8, 2, 42, b"wxyz")]
