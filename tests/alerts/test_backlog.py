import math

from sidecar.alerts.backlog import MAX_SINGLE_BANS, Backlog
from sidecar.alerts.compose import banned, problem, resolved
from sidecar.alerts.notices import Field, Notice, NoticeKind, NoticeLevel
from sidecar.core.address import Address
from sidecar.core.events import Ban

STARTED = Notice(NoticeKind.START, NoticeLevel.GOOD, "started")


def ban(number, site="blog", jail="wordpress"):
    return Ban(jail, Address(f"203.0.113.{number}"), 0.0, 60.0, "failures", failures=3, origin_name=site)


def taken(backlog, now):
    """All that is due at this time."""
    return list(iter(lambda: backlog.take(now), None))


def play(backlog, last):
    """What is sent, and when, until this time: the backlog is asked exactly when it says that it is due."""
    sent = []
    now = 0.0
    while now <= last:
        sent += [(now, notice.text) for notice in taken(backlog, now)]
        now = max(now, backlog.next_due())
    return sent


def test_a_few_bans_are_sent_one_by_one():
    backlog = Backlog()
    backlog.add_bans([ban(1), ban(2), ban(3)], 0)

    assert backlog.next_due() == -math.inf
    assert taken(backlog, 0) == [banned(ban(1)), banned(ban(2)), banned(ban(3))]
    assert (backlog.next_due(), len(backlog)) == (math.inf, 0)


def test_a_storm_is_the_first_ban_and_one_digest():
    backlog = Backlog()
    backlog.add_bans([ban(number % 250) for number in range(10_000)], 0)
    addresses = "; ".join(f"203.0.113.{number} (wordpress, blog)" for number in range(1, 10))

    assert taken(backlog, 0.5) == [
        banned(ban(0)),
        Notice(
            NoticeKind.BANS,
            NoticeLevel.WARNING,
            "9,999 bans within 0s",
            (
                Field("Jails", "wordpress 9,999"),
                Field("Containers", "blog 9,999"),
                Field("Addresses", f"{addresses} and 9,990 more", short=False),
            ),
        ),
    ]


def test_a_storm_that_lasts_is_sent_twice_a_minute():
    backlog = Backlog()
    sent = []
    for second in range(600):  # ten minutes, twenty bans a second
        backlog.add_bans([ban(number) for number in range(20)], second)
        sent += [(second, notice.text) for notice in taken(backlog, second)]

    assert sent == [
        (0, "Banned 203.0.113.0 after 3 failures"),
        (0, "19 bans within 0s"),
        *((second, "600 bans within 29s") for second in range(30, 600, 30)),
    ]


def test_a_digest_counts_by_jail_and_container_the_most_first():
    backlog = Backlog()
    backlog.add_bans([ban(1, "shop"), ban(2, "blog"), ban(3, "blog", "probes"), ban(4, "")], 0)
    backlog.closing = True

    assert taken(backlog, 0) == [
        Notice(
            NoticeKind.BANS,
            NoticeLevel.WARNING,
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


def test_occasional_bans_are_sent_at_once():
    backlog = Backlog()
    sent = []
    for number in range(20):
        backlog.add_bans([ban(number)], number * 30.0)
        sent += taken(backlog, number * 30.0)

    assert sent == [banned(ban(number)) for number in range(20)]


def test_after_a_burst_a_ban_waits_for_room_and_is_sent_whole():
    backlog = Backlog()
    backlog.add_bans([ban(number) for number in range(MAX_SINGLE_BANS)], 0)
    taken(backlog, 0)
    backlog.add_bans([ban(100)], 1)

    assert backlog.take(1) is None
    assert backlog.next_due() == 30
    assert taken(backlog, 30) == [banned(ban(100))]


def test_other_notices_go_before_bans_the_oldest_first():
    backlog = Backlog()
    backlog.add_bans([ban(1)], 0)
    backlog.add(STARTED, 0)
    backlog.add(problem("docker", "no daemon"), 0)

    assert taken(backlog, 0) == [STARTED, problem("docker", "no daemon"), banned(ban(1))]


def test_too_many_notices_drop_the_oldest():
    backlog = Backlog(max_waiting=2)
    dropped = [backlog.add(problem(name, "gone"), 0) for name in "abc"]

    assert dropped == [0, 0, 1]
    assert taken(backlog, 0) == [problem("b", "gone"), problem("c", "gone")]


def test_a_problem_is_sent_once_and_so_is_its_end():
    backlog = Backlog()
    for second, notice in enumerate(
        [problem("nft", "a"), problem("nft", "b"), resolved("nft"), resolved("nft")]
    ):
        backlog.add(notice, second)

    assert taken(backlog, 4) == [problem("nft", "a"), resolved("nft")]


def test_an_end_without_a_beginning_is_not_sent():
    backlog = Backlog()
    backlog.add(resolved("nft"), 0)

    assert taken(backlog, 0) == []


def test_a_problem_that_flaps_is_sent_again_only_if_it_stays():
    backlog = Backlog()
    for second in range(0, 1_000, 10):  # gone for five seconds in every ten
        backlog.add(problem("docker", f"gone at {second}"), second)
        backlog.add(resolved("docker"), second + 5)
    sent = taken(backlog, 1_000)
    backlog.add(problem("docker", "gone for long"), 1_000)

    assert [notice.kind for notice in sent] == [NoticeKind.PROBLEM, NoticeKind.RESOLVED] * 4
    assert play(backlog, 2_000) == [(1_200, "Problem: docker")]


def test_a_closing_backlog_sends_what_was_held():
    backlog = Backlog()
    for second, notice in enumerate([problem("nft", "a"), resolved("nft"), problem("nft", "b")]):
        backlog.add(notice, second)
    assert taken(backlog, 3) == [problem("nft", "a"), resolved("nft")]

    backlog.closing = True
    assert taken(backlog, 3) == [problem("nft", "b")]


def test_problems_that_are_long_over_are_forgotten():
    backlog = Backlog()
    for number in range(1_000):
        backlog.add(problem(f"container {number}", "gone"), number)
        backlog.add(resolved(f"container {number}"), number)
        taken(backlog, number)

    assert backlog.problems <= 301
