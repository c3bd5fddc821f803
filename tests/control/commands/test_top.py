from dataclasses import replace

from sidecar.control.commands.daemon import Tally
from sidecar.control.commands.top import MAX_DECISIONS, MAX_HITS, MAX_ROWS, RecentEvents, TopCommand
from sidecar.control.protocol import TopRequest
from sidecar.core.address import Address
from sidecar.core.events import Ban, Hit, Origin, Turn, Unban
from tests.control.daemon import ANN, BOB, NOW, Drops, Healthy, running_loop

BLOG, SHOP = Origin("docker", "blog"), Origin("docker", "shop")
BAN = Ban("login", ANN, 4.0, 65.0, "failures", 3, "blog", decided_at=4.5)


class Firewall(Drops):
    def state(self):
        return {"dropped": {"4": (7, 420), "6": (1, 80)}}


def hit(address=ANN, at=NOW, origin=BLOG, **more):
    return Hit("login", address, at, origin, "a line", **more)


def top(*turns, bans=()):
    tally, recent = Tally(1.0), RecentEvents()
    for turn in turns:
        tally.apply(turn)
        recent.apply(turn)
    firewall = Firewall()
    with running_loop(bans) as loop:
        command = TopCommand(loop, health=Healthy(), firewall=firewall, tally=tally, recent=recent)
        return command.answer(TopRequest()), firewall


def test_what_happens_just_now():
    hits = (hit(), hit(), hit(BOB, origin=SHOP), hit(success=True))
    answer, firewall = top(Turn(NOW, (BAN,), hits), Turn(NOW, ignored=(hit(),)), bans=[BAN])

    assert (answer["bans"], answer["failures"], answer["dropped"]) == (1, 5, 8)
    assert answer["jails"] == [
        {"name": "login", "failures": 5, "bans": 1, "active": 1},
        {"name": "manual", "failures": 0, "bans": 0, "active": 0},
    ]
    assert answer["sites"] == [{"name": "blog", "failures": 3}, {"name": "shop", "failures": 1}]
    assert answer["addresses"] == [
        {"ip": ANN, "failures": 3, "jail": "login", "site": "blog", "banned": True, "dropped": 3},
        {"ip": BOB, "failures": 1, "jail": "login", "site": "shop", "banned": False, "dropped": None},
    ]
    # Only those that are shown and banned are asked about.
    assert firewall.asked == [[ANN]]


def test_decisions_are_the_newest_first():
    decisions = (
        BAN,
        replace(BAN, dry_run=True, reason="spam", decided_at=0.0),
        Unban("login", ANN, 5.0, "manual"),
    )
    answer, _ = top(Turn(NOW, decisions))

    assert [(each["at"], each["what"], each["why"], each["site"]) for each in answer["decisions"]] == [
        (5.0, "unbanned", "manual", ""),
        (4.0, "would be banned", "spam", "blog"),
        (4.5, "banned", "failures", "blog"),
    ]


def test_failures_of_long_ago_are_not_shown():
    answer, _ = top(Turn(NOW, hits=(hit(at=NOW - 601), hit(BOB, at=NOW - 599))))

    assert [each["ip"] for each in answer["addresses"]] == [BOB]


def test_the_answer_is_bounded():
    many = tuple(
        hit(Address(f"198.51.{n >> 8}.{n & 255}"), origin=Origin("docker", f"c{n}")) for n in range(3_000)
    )
    answer, firewall = top(Turn(NOW, (BAN,) * 100, many))

    assert (len(answer["addresses"]), len(answer["sites"])) == (MAX_ROWS, MAX_ROWS)
    assert len(answer["decisions"]) == MAX_DECISIONS
    assert sum(map(len, firewall.asked)) <= MAX_ROWS
    recent = RecentEvents()
    recent.apply(Turn(NOW, hits=many))
    assert len(recent.failures(0.0)) == MAX_HITS
