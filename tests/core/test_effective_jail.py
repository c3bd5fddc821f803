from sidecar.core.address import Address
from sidecar.core.effective_jail import EffectiveJail
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")


def test_a_jail_without_ignoreip_has_no_allowlist_of_its_own():
    effective = EffectiveJail.of(Jail("login"))

    assert effective.allowlist is None
    assert effective.allowlist_reason(ANN) is None


def test_labels_join_the_jails_ignoreip():
    effective = EffectiveJail.of(
        Jail("login", ignoreip=("203.0.113.7",)), Overrides({"maxretry": 2}, ignoreip=("203.0.113.8",))
    )

    assert effective.jail.maxretry == 2
    assert (effective.allowlist_reason(ANN), effective.allowlist_reason(BOB)) == ("ignoreip", "ignoreip")


def test_private_addresses_are_left_to_the_general_allowlist():
    effective = EffectiveJail.of(Jail("login", ignoreip=("203.0.113.7",)))

    assert effective.allowlist_reason(Address("10.1.2.3")) is None


def test_the_proxies_of_a_label_are_not_banned_for_its_container():
    effective = EffectiveJail.of(
        Jail("login", ignoreip=("203.0.113.7",)), Overrides(trusted_proxies=("203.0.113.8",))
    )

    assert (effective.allowlist_reason(ANN), effective.allowlist_reason(BOB)) == (
        "ignoreip",
        "a trusted proxy",
    )
    for_all = EffectiveJail.of(Jail("login"), Overrides(trusted_proxies=("203.0.113.8",), limited=False))
    assert for_all.allowlist is None
