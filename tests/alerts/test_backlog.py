import math

from sidecar.alerts.backlog import MAX_SINGLE, Backlog
from sidecar.alerts.compose import described, problem, resolved
from sidecar.alerts.notices import Field, Notice, NoticeKind, NoticeLevel
from sidecar.alerts.occurrences import Digest
from tests.alerts.support import ban

STARTED = Notice(NoticeKind.START, NoticeLevel.GOOD, "started")


class Numbered:
    """A backlog that is given the numbers of the journal."""

    def __init__(self, **more):
        self.backlog, self.last = Backlog(**more), 0

    def add(self, notice, now=0.0):
        self.last += 1
        return self.backlog.add(self.last, notice, now)

    def bans(self, *bans):
        for each in bans:
            self.last += 1
            self.backlog.add_occurrences([(self.last, each)])

    def digest(self, *bans):
        digest = Digest()
        digest.add(bans)
        self.last += 1
        self.backlog.add_digest(self.last, digest)

    def taken(self, now):
        """All that is due at this time."""
        return list(iter(lambda: self.backlog.take(now), None))

    def notices(self, now):
        return [due.notice for due in self.taken(now)]

    def texts(self, now):
        return [notice.text for notice in self.notices(now)]


def play(numbered, last):
    """What is sent, and when, until this time: the backlog is asked exactly when it says that it is due."""
    sent = []
    now = 0.0
    while now <= last:
        sent += [(now, text) for text in numbered.texts(now)]
        now = max(now, numbered.backlog.next_due())
    return sent


def test_a_few_bans_are_sent_one_by_one():
    backlog = Numbered()
    backlog.bans(ban(1), ban(2), ban(3))

    assert backlog.backlog.next_due() == -math.inf
    assert backlog.notices(0) == [described(ban(1)), described(ban(2)), described(ban(3))]
    assert (backlog.backlog.next_due(), len(backlog.backlog)) == (math.inf, 0)


def test_each_message_has_the_number_up_to_which_it_confirms():
    backlog = Numbered()
    backlog.bans(ban(1))
    backlog.add(STARTED)
    backlog.bans(*(ban(number) for number in range(20)))

    assert [due.number for due in backlog.taken(0)] == [1, 2, 22]


def test_a_storm_is_the_first_ban_and_one_digest():
    backlog = Numbered()
    backlog.bans(*(ban(number % 250) for number in range(10_000)))
    addresses = "; ".join(f"203.0.0.{number} (wordpress, blog)" for number in range(1, 10))

    assert backlog.notices(0.5) == [
        described(ban(0)),
        Notice(
            NoticeKind.DIGEST,
            NoticeLevel.WARNING,
            "9,999 bans enforced within 0s",
            (
                Field("Jails", "wordpress 9,999"),
                Field("Containers", "blog 9,999"),
                Field("Addresses", f"{addresses} and 9,990 more", short=False),
            ),
            jail="wordpress",
        ),
    ]


def test_a_storm_that_lasts_is_sent_twice_a_minute():
    backlog = Numbered()
    sent = []
    for second in range(600):  # ten minutes, twenty bans a second
        backlog.bans(*(ban(number, at=float(second)) for number in range(20)))
        sent += [(second, text) for text in backlog.texts(second)]

    assert sent == [
        (0, "Banned 203.0.0.0 after 3 failures"),
        (0, "19 bans enforced within 0s"),
        *((second, "600 bans enforced within 29s") for second in range(30, 600, 30)),
    ]


def test_a_minute_of_a_storm_is_less_than_ten_messages_however_it_begins():
    for slow in range(30):
        backlog = Numbered()
        sent = 0
        for second in range(61):
            backlog.bans(*(ban(number, at=float(second)) for number in range(1 if second < slow else 160)))
            sent += len(backlog.texts(second))

        assert sent < 10, slow


def test_a_digest_counts_by_event_jail_and_container_the_most_first():
    backlog = Numbered()
    backlog.bans(ban(1, "shop"), ban(2, "blog", dry_run=True), ban(3, "blog", "probes"), ban(4, ""))
    backlog.backlog.closing = True

    assert backlog.notices(0) == [
        Notice(
            NoticeKind.DIGEST,
            NoticeLevel.WARNING,
            "3 bans enforced, 1 ban observed (dry run) within 0s",
            (
                Field("Jails", "wordpress 3, probes 1"),
                Field("Containers", "blog 2, shop 1"),
                Field(
                    "Addresses",
                    "203.0.0.1 (wordpress, shop); 203.0.0.2 (wordpress, blog); "
                    "203.0.0.3 (probes, blog); 203.0.0.4 (wordpress)",
                    short=False,
                ),
            ),
        )
    ]


def test_occasional_bans_are_sent_at_once():
    backlog = Numbered()
    sent = []
    for number in range(20):
        backlog.bans(ban(number))
        sent += backlog.notices(number * 30.0)

    assert sent == [described(ban(number)) for number in range(20)]


def test_after_a_burst_a_ban_waits_for_room_and_is_sent_whole():
    backlog = Numbered()
    backlog.bans(*(ban(number) for number in range(MAX_SINGLE)))
    assert len(backlog.taken(0)) == MAX_SINGLE
    backlog.bans(ban(100))

    assert backlog.backlog.take(1) is None
    assert backlog.backlog.next_due() == 30
    assert backlog.notices(30) == [described(ban(100))]


def test_the_order_is_kept_and_what_waits_for_room_is_sent_before_what_came_later():
    backlog = Numbered()
    backlog.bans(*(ban(number) for number in range(MAX_SINGLE)))
    backlog.taken(0)
    backlog.bans(ban(8), ban(9))
    backlog.add(problem("docker", "no daemon"), 1)
    backlog.bans(ban(10))

    assert backlog.texts(1) == ["2 bans enforced within 0s", "Problem: docker"]
    assert backlog.texts(31) == ["Banned 203.0.0.10 after 3 failures"]


def test_what_a_run_left_is_one_message_unless_it_is_little():
    backlog, little = Numbered(), Numbered()
    for each, count in ((backlog, 20), (little, 3)):
        each.bans(*(ban(number) for number in range(count)))
        each.backlog.resume(0.0)

    assert backlog.texts(0) == ["20 bans enforced within 0s"]
    assert len(little.texts(0)) == 3


def test_bans_that_were_counted_at_once_are_never_sent_before_earlier_ones():
    backlog = Numbered()
    backlog.digest(ban(1), ban(2), ban(3))
    backlog.bans(ban(4))

    assert backlog.texts(0) == ["4 bans enforced within 0s"]


def test_a_command_is_run_for_each_ban():
    backlog = Numbered(max_single=math.inf)
    backlog.bans(*(ban(number) for number in range(500)))
    backlog.digest(*(ban(number) for number in range(500, 600)))

    texts = backlog.texts(0)
    assert (len(texts), texts[-1]) == (501, "100 bans enforced within 0s")
    assert texts[499].startswith("Banned 203.0.1.249 ")


def test_too_many_notices_drop_the_oldest_and_join_the_bans_around_it():
    backlog = Numbered(max_waiting=2)
    dropped = [backlog.add(problem("a", "gone"))]
    backlog.bans(ban(1), ban(2))
    dropped += [backlog.add(problem(name, "gone")) for name in "bc"]
    backlog.bans(ban(3), ban(4))
    dropped.append(backlog.add(problem("d", "gone")))

    assert dropped == [0, 0, 1, 1]
    assert backlog.texts(0) == [
        *(f"Banned 203.0.0.{number} after 3 failures" for number in (1, 2)),
        "Problem: c",
        *(f"Banned 203.0.0.{number} after 3 failures" for number in (3, 4)),
        "Problem: d",
    ]


def test_bans_on_both_sides_of_a_dropped_notice_are_one_run():
    backlog = Numbered(max_waiting=1)
    backlog.bans(ban(1), ban(2))
    backlog.add(problem("a", "gone"))
    backlog.bans(ban(3), ban(4))
    backlog.add(problem("b", "gone"))

    assert backlog.texts(0)[-1] == "Problem: b"
    assert len(backlog.backlog) == 0


def test_a_problem_is_sent_once_and_so_is_its_end():
    backlog = Numbered()
    for second, notice in enumerate(
        [problem("nft", "a"), problem("nft", "b"), resolved("nft"), resolved("nft")]
    ):
        backlog.add(notice, second)

    assert backlog.notices(4) == [problem("nft", "a"), resolved("nft")]


def test_an_end_without_a_beginning_is_not_sent():
    backlog = Numbered()
    backlog.add(resolved("nft"))

    assert backlog.taken(0) == []


def test_a_problem_that_flaps_is_sent_again_only_if_it_stays():
    backlog = Numbered()
    for second in range(0, 1_000, 10):  # gone for five seconds in every ten
        backlog.add(problem("docker", f"gone at {second}"), second)
        backlog.add(resolved("docker"), second + 5)
    sent = backlog.notices(1_000)
    backlog.add(problem("docker", "gone for long"), 1_000)

    assert [notice.kind for notice in sent] == [NoticeKind.PROBLEM, NoticeKind.RESOLVED] * 4
    assert play(backlog, 2_000) == [(1_200, "Problem: docker")]


def test_a_closing_backlog_sends_what_was_held():
    backlog = Numbered()
    for second, notice in enumerate([problem("nft", "a"), resolved("nft"), problem("nft", "b")]):
        backlog.add(notice, second)
    assert backlog.notices(3) == [problem("nft", "a"), resolved("nft")]

    backlog.backlog.closing = True
    assert backlog.notices(3) == [problem("nft", "b")]


def test_problems_that_are_long_over_are_forgotten():
    backlog = Numbered()
    for number in range(1_000):
        backlog.add(problem(f"container {number}", "gone"), number)
        backlog.add(resolved(f"container {number}"), number)
        backlog.taken(number)

    assert backlog.backlog.problems <= 301
