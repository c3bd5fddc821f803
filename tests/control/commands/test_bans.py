import logging
import math

import pytest

from sidecar.control.commands.bans import BanCommand, BansCommand, UnbanCommand
from sidecar.control.protocol import BanOrder, BanRequest, BansRequest, Refused, UnbanRequest
from sidecar.core.address import Address
from sidecar.core.events import Ban, BanCause
from tests.control.daemon import ANN, BOB, Drops, Fleet, Store, running_loop

BY_HAND = {
    "ip": "203.0.113.7",
    "jail": "login",
    "at": 5.0,
    "until": 65.0,
    "cause": "manual",
    "failures": 0,
    "site": "",
    "reason": "spam",
    "times": 1,
    "observed": False,
    "evidence": [],
    "dropped": None,
    "last_dropped": None,
}
COUNTED = BY_HAND | {"dropped": 3, "last_dropped": 5.0}


def ban(loop, address, **more):
    return BanCommand(loop).answer(BanRequest(address, **more))


def bans(loop, store=None, **asked):
    return list(BansCommand(loop, store or Store(), Drops(), None).answer(BansRequest(**asked))["bans"])


def bans_of_fleet(loop, fleet):
    return list(BansCommand(loop, Store(), Drops(), fleet).answer(BansRequest(fleet=True))["bans"])


def unban(loop, address, **more):
    return UnbanCommand(loop, None).answer(UnbanRequest(address, **more))


def test_a_ban_by_hand_is_in_force_until_it_is_lifted(loop):
    assert ban(loop, ANN, jail="login", reason="spam") == {"banned": [BY_HAND]}
    assert bans(loop) == [COUNTED | {"evidence": ["fail 1", "fail 2"]}]
    assert bans(loop, evidence=False) == [COUNTED]
    assert unban(loop, ANN) == {"unbanned": [{"ip": ANN, "jail": "login"}]}
    assert unban(loop, None) == {"unbanned": []}


def test_bans_are_shown_without_evidence_that_cannot_be_read(loop, caplog):
    ban(loop, ANN, jail="login", reason="spam")
    store = Store()
    store.error = "the disk is full"

    with caplog.at_level(logging.WARNING):
        assert bans(loop, store) == [COUNTED]
    assert caplog.messages == ["bans are shown without their evidence: the disk is full"]


def test_drops_are_those_since_the_ban_or_unknown(loop):
    ban(loop, ANN, jail="login")
    ban(loop, BOB)
    ban(loop, "203.0.113.9")

    def dropped(drops):
        found = BansCommand(loop, Store(), drops, None).answer(BansRequest())["bans"]
        return {each["ip"]: (each["dropped"], each["last_dropped"]) for each in found}

    assert dropped(Drops()) == {ANN: (3, 5.0), BOB: (None, None), "203.0.113.9": (0, None)}
    # The last of them came before this ban.
    assert dropped(Drops(last=4.0))[ANN] == (0, None)


def test_counts_are_read_by_the_page_and_those_of_networks_once(loop, monkeypatch):
    monkeypatch.setattr("sidecar.control.commands.bans.PAGE", 2)
    hosts = [f"192.0.3.{n}" for n in range(3)]
    networks = ["203.0.113.0/24", "2001:db8::/48"]
    for address in (*hosts, *networks):
        ban(loop, address)
    drops = Drops()

    entries = iter(BansCommand(loop, Store(), drops, None).answer(BansRequest(evidence=False))["bans"])
    assert next(entries)["dropped"] == 0
    # No more than the first page was read.
    assert [len(asked) for asked in drops.asked] == [2, 2]
    assert {each["dropped"] for each in entries} == {0}
    assert sorted(map(sorted, drops.asked)) == sorted([sorted(networks), hosts[:2], hosts[2:]])


def test_bans_are_chosen_and_in_the_order_of_their_ends(loop):
    ban(loop, "203.0.113.8", bantime=7_200.0)
    ban(loop, "203.0.113.9", bantime=3_600.0)
    ban(loop, ANN, jail="login")

    def found(**asked):
        return [each["ip"] for each in bans(loop, **asked)]

    assert found(jail="manual") == ["203.0.113.9", "203.0.113.8"]
    assert found(jail="login", site="") == [ANN]
    assert found(site="shop-*") == []
    assert found(since=1e12) == []
    assert found(observed=True) == []


@pytest.mark.parametrize(
    ("address", "more", "sentence"),
    [
        ("192.0.2.7", {}, "192.0.2.7 is never banned: it is ignoreip"),
        (ANN, {"jail": "lgoin"}, "no jail is named lgoin; there are login, manual"),
        ("evil.example", {}, "'evil.example' is neither an address nor a network"),
    ],
)
def test_a_ban_may_be_refused(loop, address, more, sentence):
    with pytest.raises(Refused, match=sentence):
        ban(loop, address, **more)
    assert bans(loop) == []


def test_an_unban_may_be_refused(loop):
    ban(loop, "203.0.113.0/24")

    with pytest.raises(Refused, match=r"it lies in 203\.0\.113\.0/24, which is; unban that"):
        unban(loop, ANN)
    with pytest.raises(Refused, match="no jail is named lgoin"):
        unban(loop, ANN, jail="lgoin")
    with pytest.raises(Refused, match="'7' is neither an address nor a network"):
        unban(loop, "7")


def test_the_bans_of_the_fleet_are_shown_whether_in_force_here_or_not(loop):
    fleet = Fleet()
    found = bans_of_fleet(loop, fleet)
    assert [(each["ip"], each["until"], each["cause"]) for each in found] == [(BOB, None, "fleet")]

    fleet.error = "Redis cannot be reached"
    with pytest.raises(Refused, match="Redis cannot be reached"):
        bans_of_fleet(loop, fleet)


def test_an_unban_reaches_every_node_of_the_fleet(loop):
    fleet = Fleet()
    ban(loop, ANN, jail="login")

    both = UnbanCommand(loop, fleet)
    assert both.answer(UnbanRequest(ANN, "login", fleet=True)) == {
        "unbanned": [{"ip": ANN, "jail": "login"}],
        "fleet": 1,
    }
    assert both.answer(UnbanRequest(BOB, fleet=True)) == {"unbanned": [], "fleet": 1}
    assert fleet.unbanned == [(ANN, "login"), (BOB, "")]
    with pytest.raises(Refused, match="not every address"):
        both.answer(UnbanRequest(None, fleet=True))


def test_a_network_that_only_the_fleet_bans_is_no_reason_to_refuse(loop):
    ban(loop, "203.0.113.0/24")

    assert UnbanCommand(loop, Fleet()).answer(UnbanRequest(ANN, fleet=True)) == {"unbanned": [], "fleet": 1}


def test_without_a_fleet_nothing_can_be_asked_of_it(loop):
    with pytest.raises(Refused, match="this host is not in a fleet: set WP_SIDECAR_REDIS_URL"):
        bans_of_fleet(loop, None)
    with pytest.raises(Refused, match="this host is not in a fleet"):
        UnbanCommand(loop, None).answer(UnbanRequest(ANN, fleet=True))


def test_a_search_finds_addresses_jails_containers_and_reasons_and_the_first_of_them(loop):
    for n in range(5):
        ban(loop, f"203.0.113.{n}", reason="Spam" if n % 2 else "probes")
    command = BansCommand(loop, Store(), Drops(), None)

    def found(**asked):
        return [each["ip"][-1] for each in command.answer(BansRequest(evidence=False, **asked))["bans"]]

    assert found(search="SPAM") == ["1", "3"]
    assert found(search="113.4") == ["4"]
    assert found(search="Manual") == ["0", "1", "2", "3", "4"]
    assert found(search="nothing") == []
    answer = command.answer(BansRequest(evidence=False, search="probes", first=2))
    assert ([each["ip"][-1] for each in answer["bans"]], answer["more"]) == (["0", "2"], 1)


def test_the_bans_that_end_first_the_newest_or_those_of_most_failures_come_first():
    bans = [
        Ban("login", Address(f"203.0.113.{n}"), at, until, BanCause.FAILURES, failures)
        for n, (at, until, failures) in enumerate(((1, 30, 5), (3, 20, 4), (2, math.inf, 6)))
    ]
    with running_loop(bans) as loop:
        command = BansCommand(loop, Store(), Drops(), None)
        found = {
            order: [
                each["ip"][-1] for each in command.answer(BansRequest(evidence=False, order=order))["bans"]
            ]
            for order in BanOrder
        }

    assert found == {"ends": ["1", "0", "2"], "newest": ["1", "2", "0"], "failures": ["2", "0", "1"]}
