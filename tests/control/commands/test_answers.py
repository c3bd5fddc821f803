import math
from dataclasses import replace

import pytest

from sidecar.control.commands.answers import ban_entry, ban_target, health_answer, jail_standing
from sidecar.control.protocol import Refused
from sidecar.core.address import Address
from sidecar.core.events import Ban, BanCause
from sidecar.core.jail import Jail
from sidecar.core.queries import AddressStatus
from sidecar.core.refused_bans import RefusalReason, RefusedBan
from sidecar.firewall.backend import AddressDrops
from sidecar.telemetry.http import Health

ANN = Address("203.0.113.7")


def test_a_permanent_ban_has_no_end():
    assert ban_entry(Ban("login", ANN, 5.0, math.inf, BanCause.MANUAL))["until"] is None


def test_a_dry_run_drops_nothing_and_has_no_count():
    drops = {ANN: AddressDrops(3, 180, 6.0)}
    made = Ban("login", ANN, 5.0, 65.0, BanCause.FAILURES)

    assert ban_entry(made, (), drops)["dropped"] == 3
    assert ban_entry(replace(made, dry_run=True), (), drops)["dropped"] is None


def test_a_cause_is_its_word():
    assert ban_entry(Ban("login", ANN, 5.0, 65.0, BanCause.GROUP))["cause"] == "group"


def test_a_target_is_canonical_or_refused():
    assert ban_target("2001:db8::1") == "2001:db8::/64"
    with pytest.raises(Refused, match="'soon' is neither an address nor a network"):
        ban_target("soon")


def test_a_refused_ban_has_its_reason():
    refused = RefusedBan("login", ANN, RefusalReason.NEVER_SEEN, "blog", 1.0, 2.0, 2.0, 5)
    status = AddressStatus(Jail("login"), None, 4, 0, None, refused)

    assert jail_standing(status, {}, {})["refused"] == "never seen by this host's network"
    assert jail_standing(status._replace(refused=None), {}, {})["refused"] is None


def test_health_has_its_reasons():
    health = Health(live=True, ready=False, why=("the disk is full",))

    assert health_answer(health) == {"live": True, "ready": False, "why": ["the disk is full"]}
