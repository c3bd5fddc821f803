from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.ban_history import BanHistory, PastBans
from sidecar.core.events import Ban
from sidecar.core.guard_state import GuardState
from sidecar.core.jail import Jail
from sidecar.core.jail_states import JailStates

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")


def guard_state():
    jails = JailStates([Jail("login"), Jail("mail", ignoreip=("203.0.113.8",))])
    past = [PastBans("login", ANN, 3, 900.0), PastBans("mail", ANN, 1, 900.0)]
    return GuardState(jails, Allowlist({"a gateway": ["203.0.113.7"]}), BanHistory(past))


def test_the_allowlist_of_all_jails_goes_before_a_jails_own():
    state = guard_state()
    login, mail = state.jails.by_name["login"], state.jails.by_name["mail"]

    assert [state.allowlist_reason(login, each) for each in (ANN, BOB)] == ["a gateway", None]
    assert [state.allowlist_reason(mail, each) for each in (ANN, BOB)] == ["a gateway", "ignoreip"]


def test_bans_are_counted_from_the_ban_in_force_or_the_history():
    state = guard_state()
    state.jails.by_name["login"].bans.put(Ban("login", ANN, 901.0, 999.0, "failures", ban_count=4))

    assert state.ban_counts(ANN, now=950.0) == {"login": 4, "mail": 1}
    assert state.ban_counts(BOB, now=950.0) == {}
