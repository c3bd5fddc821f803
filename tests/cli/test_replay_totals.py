from sidecar.cli.replay_totals import ByAddress, FirstBan, TimeCounts, Totals, compare, step_for
from sidecar.core.address import Address
from sidecar.core.events import Ban, BanCause, Hit, Origin

ANN, BOB, CAY = Address("203.0.113.7"), Address("203.0.113.8"), Address("198.51.100.9")
ORIGIN = Origin("replay", "log")


def ban(address, at, jail="login"):
    return Ban(jail, Address(address), at, at + 600, BanCause.FAILURES, failures=3)


def hit(address, at, *, success=False, jail="login"):
    return Hit(jail, Address(address), at, ORIGIN, "a line", success=success)


def totals(*events):
    found = Totals()
    for each in events:
        if isinstance(each, Ban):
            found.add_ban(each)
        else:
            found.add_hits([each])
    return found


def test_failures_logins_and_bans_are_counted_by_jail_and_address():
    found = totals(hit(ANN, 1), hit(ANN, 2), ban(ANN, 2), ban(ANN, 900, "again"), hit(BOB, 3, success=True))

    assert (found.failures, found.logins, found.bans) == (
        {"login": 2},
        {"login": 1},
        {"login": 1, "again": 1},
    )
    table = found.by_address
    assert table.most_failures(10) == [ANN]
    assert (table.failures, table.logins, table.bans) == ({ANN: 2}, {BOB: 1}, {ANN: FirstBan(2, "login", 2)})


def test_the_first_ban_is_the_earliest_whatever_order_they_come_in():
    found = totals(ban(ANN, 900, "late"), ban(ANN, 100, "early"))

    assert found.by_address.bans == {ANN: FirstBan(100, "early", 2)}


def test_addresses_are_bounded_and_those_that_were_seen_last_stay():
    table = ByAddress(limit=16)
    for number in range(100):
        table.add_hits([hit(f"203.0.113.{number}", number), hit(ANN, number)])
        table.add_ban(ban(f"203.0.113.{number}", number))

    for known in (table.failures, table.bans):
        assert Address("203.0.113.99") in known
        assert len(known) <= 16
    assert table.failures[ANN] == 101
    assert table.dropped >= 160


def test_counts_over_time_are_bounded_and_none_is_lost():
    counts = TimeCounts(limit=50)
    for number in range(1_000):
        counts.add([number * 7.0])

    assert counts.step_s == 300
    begin, end = counts.span
    assert (begin, end) == (0, 7_200)
    assert sum(counts.by_step(begin, end, 900)) == 1_000
    assert TimeCounts().span is None


def test_the_step_is_the_finest_that_fits_into_the_columns():
    assert step_for(0, 60, 100) == 1
    assert step_for(0, 86_400, 70) == 3_600
    assert step_for(0, 86_400, 70, finest_s=10_800) == 10_800
    # A line may name any year.
    assert step_for(-6.2e10, 2e9, 70) == 2_903_040_000


def test_two_policies_differ_in_whom_they_ban_and_those_who_logged_in_come_first():
    first = totals(ban(ANN, 10), ban(BOB, 20), hit(BOB, 5, success=True), ban("2001:db8::/64", 30))
    second = totals(ban(CAY, 40), ban("2001:db8::/56", 30))

    found = compare(first, second)

    assert [(each.address, each.logins) for each in found.only_first] == [(BOB, 1), (ANN, 0)]
    # A network holds the address that the other policy bans, and is no such address itself.
    assert [each.address for each in found.only_second] == ["2001:db8::/56", CAY]
    assert found.both == 1


def test_a_login_by_either_policy_is_known_and_one_in_a_banned_network():
    first = totals(ban("203.0.113.0/24", 10))
    second = totals(hit(ANN, 5, success=True), hit(BOB, 6, success=True))

    assert [each.logins for each in compare(first, second).only_first] == [2]
    assert compare(second, first).only_first == []
