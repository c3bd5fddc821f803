from collections import Counter

from sidecar import leaks
from sidecar.core.events import Leak, Turn, Who
from sidecar.core.selection import Container
from sidecar.firewall import FirewallError
from sidecar.firewall.diagnosis import Facts
from sidecar.leaks import Leaks

ANN, BOB = Who("203.0.113.7"), Who("203.0.113.8")
BLOG = Container("1", "blog", "wordpress", published=frozenset({8080}), proxied=True)


class Told:
    """What a `Leaks` asked, counted and told; the kernel here has never seen anyone whom it is asked about."""

    def __init__(self):
        self.asked, self.counted, self.said = [], Counter(), []
        self.leaks = Leaks(
            self.look_at,
            lambda: [BLOG],
            lambda kind: self.counted.update([kind]),
            lambda *words: self.said.append(words),
        )

    def look_at(self, who, jail, ports, *, proxied):
        self.asked.append((who, jail, ports, proxied))
        return Facts(who, "ban4", hooked=True, held=True, seen=False, senders=(1, 0))

    def apply(self, at, *leaks):
        self.leaks.apply(Turn(at, leaks=leaks))


def leak(who, at=0.0, site="blog", jail="login"):
    return Leak(jail, who, at, site)


def test_a_leak_is_examined_counted_and_told_once():
    told = Told()
    told.apply(10.0, leak(ANN), leak(ANN))
    told.apply(20.0, leak(ANN, 19.0))

    assert told.asked == [(ANN, "login", frozenset({8080}), True)]
    assert told.counted == {"elsewhere": 1}
    ((what, sentence),) = told.said
    assert what == "the ban of 203.0.113.7"
    assert sentence.startswith("They still reach blog: no packet came from 203.0.113.7: a CDN")


def test_of_one_reason_at_one_site_people_are_told_once_an_hour_and_every_leak_is_counted():
    told = Told()
    told.apply(0.0, leak(ANN), leak(BOB), leak(BOB, site="shop", jail="probes"))
    told.apply(3599.0, leak(Who("203.0.113.9")))
    told.apply(3600.0, leak(Who("203.0.113.10")))

    assert [what for what, _ in told.said] == [
        "the ban of 203.0.113.7",
        "the ban of 203.0.113.8",  # at the shop
        "the ban of 203.0.113.10",
    ]
    assert told.counted == {"elsewhere": 5}


def test_the_site_may_be_a_file():
    told = Told()
    told.apply(0.0, leak(ANN, site="/var/log/a\nb"))

    assert told.asked == [(ANN, "login", frozenset(), False)]


def test_a_kernel_that_does_not_answer_is_no_reason():
    told = Told()
    told.leaks._look_at = no_answer
    told.apply(0.0, leak(ANN))

    assert (told.counted, told.said) == ({"unknown": 1}, [])


def no_answer(*_, proxied):
    raise FirewallError("reading the firewall failed: no answer")


def test_a_flood_of_leaks_does_not_hold_up_the_loop(monkeypatch):
    monkeypatch.setattr(leaks, "EXAMINED", 2)
    monkeypatch.setattr(leaks, "KNOWN", 3)
    told = Told()
    told.apply(0.0, *(leak(Who(f"203.0.113.{n}")) for n in range(5)))

    assert len(told.asked) == 2
    assert told.counted == {"elsewhere": 2, "unknown": 3}
    assert len(told.leaks._known) == 3
