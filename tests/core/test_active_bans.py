from dataclasses import replace

from sidecar.core.active_bans import BYPASS_GRACE_S, ActiveBans
from sidecar.core.address import Address
from sidecar.core.events import Ban, Bypass, Hit, Origin

ANN, BOB, SIX = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:bad:1::/64")
NEIGHBOURHOOD = Address("203.0.113.0/24")
BAN = Ban("login", ANN, 0.0, 60.0, "failures", 3, "blog", ("one line",), decided_at=1.0)


def hit(at, origin="blog"):
    return Hit("login", ANN, at, Origin("docker", origin), "a line")


def test_a_ban_is_kept_without_its_evidence():
    bans = ActiveBans(bangroup=0)
    kept = bans.put(BAN)

    assert kept == replace(BAN, evidence=())
    assert (bans.get(ANN), bans.covering(ANN)) == (kept, kept)
    assert (len(bans), [*bans], ANN in bans) == (1, [kept], True)
    assert bans.remove(ANN) == kept
    assert (bans.get(ANN), bans.covering(ANN), len(bans)) == (None, None, 0)


def test_enforced_bans_are_counted_by_ip_version_and_dry_runs_are_not():
    bans = ActiveBans(bangroup=0)
    for ban in (BAN, BAN, replace(BAN, address=SIX), replace(BAN, address=BOB, dry_run=True)):
        bans.put(ban)
    assert bans.enforced == {4: 1, 6: 1}

    bans.put(replace(BAN, dry_run=True))
    bans.remove(BOB)
    assert bans.enforced == {4: 0, 6: 1}


def test_a_group_is_full_once_and_until_a_host_is_unbanned():
    bans = ActiveBans(bangroup=2)
    for address in (ANN, BOB, BOB, SIX):
        bans.put(replace(BAN, address=address))

    assert bans.full_group(BOB) == (NEIGHBOURHOOD, 2)
    assert bans.full_group(SIX) is None
    bans.put(replace(BAN, address=NEIGHBOURHOOD))
    assert bans.full_group(BOB) is None
    assert bans.covering(Address("203.0.113.9")) is bans.get(NEIGHBOURHOOD)
    assert bans.covering(SIX) is bans.get(SIX)
    assert bans.covering(Address("2001:db8::/64")) is None

    bans.remove(NEIGHBOURHOOD)
    bans.remove(BOB)
    assert bans.full_group(ANN) is None


def test_another_bangroup_counts_the_bans_in_force():
    bans = ActiveBans(bangroup=0)
    bans.put(BAN)
    assert bans.full_group(ANN) is None

    bans.reconfigure(bangroup=1)
    assert bans.full_group(ANN) == (NEIGHBOURHOOD, 1)
    bans.reconfigure(bangroup=0)
    assert bans.full_group(ANN) is None


def test_a_bypass_is_noticed_once_for_each_ban():
    bans = ActiveBans(bangroup=0)
    bans.put(BAN)
    late = hit(BAN.decided_at + BYPASS_GRACE_S + 1)

    assert bans.bypass_of(BAN, hit(BAN.decided_at + BYPASS_GRACE_S)) is None
    assert bans.bypass_of(BAN, late._replace(origin=Origin("docker", "shop"))) is None
    assert bans.bypass_of(replace(BAN, dry_run=True), late) is None
    after_a_restart = replace(BAN, decided_at=0.0)
    assert bans.bypass_of(after_a_restart, hit(BAN.at + BYPASS_GRACE_S)) is None
    assert bans.bypass_of(BAN, late) == Bypass("login", ANN, late.at, "blog")
    assert bans.bypass_of(BAN, late) is None
    bans.remove(ANN)
    assert bans.bypass_of(BAN, late) == Bypass("login", ANN, late.at, "blog")


def test_after_a_dismissed_bypass_the_next_one_is_noticed():
    bans = ActiveBans(bangroup=0)
    bans.put(BAN)
    late = hit(BAN.decided_at + BYPASS_GRACE_S + 1)
    bans.bypass_of(BAN, late)
    bans.dismiss_bypass(ANN)

    assert bans.bypass_of(BAN, late) == Bypass("login", ANN, late.at, "blog")
