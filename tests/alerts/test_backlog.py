import math

from sidecar.alerts.backlog import AT_ONCE, Backlog
from sidecar.alerts.notices import Field, Notice, banned, broken, recovered
from sidecar.core.address import Address
from sidecar.core.events import Ban

STARTED = Notice("start", "good", "started")


def ban(number, site="blog", jail="wordpress"):
    return Ban(jail, Address(f"203.0.113.{number}"), 0.0, 60.0, "failures", failures=3, origin_name=site)


def taken(backlog, now):
    """All that is due at this time."""
    return list(iter(lambda: backlog.take(now), None))


def play(backlog, last):
    """What is told, and when, until this time: the backlog is asked exactly when it says it is due."""
    told = []
    now = 0.0
    while now <= last:
        told += [(now, notice.text) for notice in taken(backlog, now)]
        now = max(now, backlog.due())
    return told


def test_a_few_bans_are_told_one_by_one():
    backlog = Backlog()
    backlog.bans([ban(1), ban(2), ban(3)], 0)

    assert backlog.due() == -math.inf
    assert taken(backlog, 0) == [banned(ban(1)), banned(ban(2)), banned(ban(3))]
    assert (backlog.due(), len(backlog)) == (math.inf, 0)


def test_a_storm_is_the_first_ban_and_one_digest():
    backlog = Backlog()
    backlog.bans([ban(number % 250) for number in range(10_000)], 0)
    addresses = "; ".join(f"203.0.113.{number} (wordpress, blog)" for number in range(1, 10))

    assert taken(backlog, 0.5) == [
        banned(ban(0)),
        Notice(
            "bans",
            "warning",
            "9,999 bans within 0s",
            (
                Field("Jails", "wordpress 9,999"),
                Field("Containers", "blog 9,999"),
                Field("Addresses", f"{addresses} and 9,990 more", short=False),
            ),
        ),
    ]


def test_a_storm_that_lasts_is_told_twice_a_minute():
    backlog = Backlog()
    told = []
    for second in range(600):  # ten minutes, twenty bans a second
        backlog.bans([ban(number) for number in range(20)], second)
        told += [(second, notice.text) for notice in taken(backlog, second)]

    assert told == [
        (0, "Banned 203.0.113.0 after 3 failures"),
        (0, "19 bans within 0s"),
        *((second, "600 bans within 29s") for second in range(30, 600, 30)),
    ]


def test_a_digest_counts_by_jail_and_container_the_most_first():
    backlog = Backlog()
    backlog.bans([ban(1, "shop"), ban(2, "blog"), ban(3, "blog", "probes"), ban(4, "")], 0)
    backlog.closing = True

    assert taken(backlog, 0) == [
        Notice(
            "bans",
            "warning",
            "4 bans within 0s",
            (
                Field("Jails", "wordpress 3, probes 1"),
                Field("Containers", "blog 2, shop 1"),
                Field(
                    "Addresses",
                    "203.0.113.1 (wordpress, shop); 203.0.113.2 (wordpress, blog); "
                    "203.0.113.3 (probes, blog); 203.0.113.4 (wordpress)",
                    short=False,
                ),
            ),
        )
    ]


def test_bans_now_and_then_are_each_told_at_once():
    backlog = Backlog()
    told = []
    for number in range(20):
        backlog.bans([ban(number)], number * 30.0)
        told += taken(backlog, number * 30.0)

    assert told == [banned(ban(number)) for number in range(20)]


def test_after_a_burst_a_ban_waits_for_room_and_is_told_whole():
    backlog = Backlog()
    backlog.bans([ban(number) for number in range(AT_ONCE)], 0)
    taken(backlog, 0)
    backlog.bans([ban(100)], 1)

    assert backlog.take(1) is None
    assert backlog.due() == 30
    assert taken(backlog, 30) == [banned(ban(100))]


def test_other_notices_go_before_bans_the_oldest_first():
    backlog = Backlog()
    backlog.bans([ban(1)], 0)
    backlog.tell(STARTED, 0)
    backlog.tell(broken("docker", "no daemon"), 0)

    assert taken(backlog, 0) == [STARTED, broken("docker", "no daemon"), banned(ban(1))]


def test_too_many_notices_drop_the_oldest():
    backlog = Backlog(size=2)
    dropped = [backlog.tell(broken(name, "gone"), 0) for name in "abc"]

    assert dropped == [0, 0, 1]
    assert taken(backlog, 0) == [broken("b", "gone"), broken("c", "gone")]


def test_a_trouble_is_told_once_and_so_is_its_end():
    backlog = Backlog()
    for second, notice in enumerate(
        [broken("nft", "a"), broken("nft", "b"), recovered("nft"), recovered("nft")]
    ):
        backlog.tell(notice, second)

    assert taken(backlog, 4) == [broken("nft", "a"), recovered("nft")]


def test_an_end_without_a_beginning_is_no_news():
    backlog = Backlog()
    backlog.tell(recovered("nft"), 0)

    assert taken(backlog, 0) == []


def test_what_flaps_is_told_again_only_if_it_stays():
    backlog = Backlog()
    for second in range(0, 1_000, 10):  # gone for five seconds in every ten
        backlog.tell(broken("docker", f"gone at {second}"), second)
        backlog.tell(recovered("docker"), second + 5)
    told = taken(backlog, 1_000)
    backlog.tell(broken("docker", "gone for long"), 1_000)

    assert [notice.kind for notice in told] == ["trouble", "recovered"] * 4
    assert play(backlog, 2_000) == [(1_200, "Trouble with docker")]


def test_who_stops_tells_what_was_held():
    backlog = Backlog()
    for second, notice in enumerate([broken("nft", "a"), recovered("nft"), broken("nft", "b")]):
        backlog.tell(notice, second)
    assert taken(backlog, 3) == [broken("nft", "a"), recovered("nft")]

    backlog.closing = True
    assert taken(backlog, 3) == [broken("nft", "b")]


def test_troubles_long_over_are_forgotten():
    backlog = Backlog()
    for number in range(1_000):
        backlog.tell(broken(f"container {number}", "gone"), number)
        backlog.tell(recovered(f"container {number}"), number)
        taken(backlog, number)

    assert len(backlog._troubles) <= 301
