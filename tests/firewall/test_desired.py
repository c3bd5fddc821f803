from sidecar.core.address import Address
from sidecar.firewall.desired import DesiredBans

ANN, BOB = Address("203.0.113.11"), Address("203.0.113.12")


def test_whom_several_jails_ban_stays_until_the_last_lets_go():
    wanted = DesiredBans()
    wanted.put("ban4", "login", ANN, 100.0)
    wanted.put("ban4", "probes", ANN, 50.0)

    assert wanted.until("ban4", ANN) == 100.0
    wanted.take("ban4", "login", ANN)
    assert wanted.until("ban4", ANN) == 50.0
    wanted.take("ban4", "probes", ANN)
    assert wanted.until("ban4", ANN) is None


def test_taking_whom_nobody_put_is_fine():
    wanted = DesiredBans()
    wanted.take("ban4", "login", ANN)

    assert wanted.everyone("ban4") == {}


def test_everyone_is_there_once_for_the_longest():
    wanted = DesiredBans()
    wanted.put("ban4", "login", ANN, 100.0)
    wanted.put("ban4", "probes", ANN, 500.0)
    wanted.put("ban4", "probes", BOB, 50.0)
    wanted.put("ban4_22", "ssh", BOB, 70.0)

    assert wanted.everyone("ban4") == {ANN: 500.0, BOB: 50.0}
    assert wanted.everyone("ban4_22") == {BOB: 70.0}


def test_a_jail_can_be_taken_out_whole():
    wanted = DesiredBans()
    wanted.put("ban4", "login", ANN, 100.0)
    wanted.put("ban4", "probes", ANN, 50.0)
    wanted.put("net4", "login", Address("203.0.113.0/24"), 70.0)

    assert wanted.take_jail("login") == [("ban4", ANN, 100.0), ("net4", Address("203.0.113.0/24"), 70.0)]
    assert (wanted.count, wanted.everyone("ban4")) == (1, {ANN: 50.0})
    assert wanted.take_jail("login") == []
