from dataclasses import replace

from sidecar.core.address import Address
from sidecar.core.events import Ban
from sidecar.core.jail import MANUAL_JAIL, Jail
from sidecar.core.jail_states import JailStates
from sidecar.core.overrides import Overrides

ANN = Address("203.0.113.7")
LOGIN = Jail("login")


def test_the_manual_jail_is_always_there():
    assert [state.jail for state in JailStates([LOGIN])] == [LOGIN, MANUAL_JAIL]


def test_an_unknown_jail_is_added_as_removed():
    jails = JailStates([LOGIN])
    shop = jails.add("shop")

    assert (shop.jail, shop.is_removed) == (Jail("shop"), True)
    assert jails.by_name["shop"] is shop
    assert not jails.by_name["login"].is_removed


def test_overrides_hold_in_jails_that_come_later():
    jails = JailStates([LOGIN])
    jails.set_overrides({"blog": Overrides({"maxretry": 1})})
    jails.reconfigure([LOGIN, Jail("mail")])

    retries = {name: state.effective_at("blog").jail.maxretry for name, state in jails.by_name.items()}
    assert retries == {"login": 1, "manual": 1, "mail": 1}
    assert jails.add("shop").effective_at("blog").jail.maxretry == 1


def test_jails_that_enforce_from_now_on_are_returned():
    observing = replace(LOGIN, observe=True)
    jails = JailStates([observing, Jail("mail")])

    assert [state.jail for state in jails.reconfigure([LOGIN, Jail("mail", observe=True)])] == [LOGIN]
    assert jails.reconfigure([LOGIN]) == []


def test_a_removed_jail_stays_for_as_long_as_its_bans():
    jails = JailStates([LOGIN, Jail("mail")])
    jails.by_name["login"].bans.put(Ban("login", ANN, 0.0, 60.0, "failures"))
    jails.reconfigure([])
    assert {name: state.is_removed for name, state in jails.by_name.items()} == {
        "login": True,
        "manual": False,
    }

    jails.by_name["login"].bans.remove(ANN)
    jails.reconfigure([])
    assert [*jails.by_name] == ["manual"]
