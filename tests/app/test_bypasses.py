from collections import Counter

from sidecar.advice.bypass import Facts
from sidecar.app import bypasses
from sidecar.app.bypasses import Bypasses
from sidecar.core.address import Address
from sidecar.core.containers import Container
from sidecar.core.events import Bypass, Turn
from sidecar.firewall import FirewallError

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")
BLOG = Container("1", "blog", "wordpress", proxied=True)


class Told:
    """What a `Leaks` asked, counted and told; the kernel here has never seen anyone whom it is asked about."""

    def __init__(self):
        self.asked, self.counted, self.said = [], Counter(), []
        self.anyone = frozenset({4})
        self.bypasses = Bypasses(
            self.look_at,
            lambda: [BLOG],
            lambda kind: self.counted.update([kind]),
            lambda *words: self.said.append(words),
        )

    def look_at(self, address, jail, at, now):
        self.asked.append((address, jail, at, now))
        return Facts(address, "ban4", hooked=True, held=True, came=False, anyone=self.anyone)

    def apply(self, at, *bypasses):
        self.bypasses.apply(Turn(at, bypasses=bypasses))


def bypass(address, at=0.0, site="blog", jail="login"):
    return Bypass(jail, address, at, site)


def test_a_leak_is_examined_counted_and_told():
    told = Told()
    told.apply(10.0, bypass(ANN, 9.0))

    assert told.asked == [(ANN, "login", 9.0, 10.0)]
    assert told.counted == {"elsewhere": 1}
    ((what, sentence),) = told.said
    assert what == "the ban of 203.0.113.7"
    assert sentence.startswith("They still reach blog: no packet came from 203.0.113.7: a CDN")


def test_of_one_reason_at_one_site_people_are_told_once_an_hour_and_every_leak_is_counted():
    told = Told()
    told.apply(0.0, bypass(ANN), bypass(BOB), bypass(BOB, site="shop", jail="probes"))
    told.apply(3599.0, bypass(Address("203.0.113.9")))
    told.apply(3600.0, bypass(Address("203.0.113.10")))

    assert [what for what, _ in told.said] == [
        "the ban of 203.0.113.7",
        "the ban of 203.0.113.8",  # at the shop
        "the ban of 203.0.113.10",
    ]
    assert told.counted == {"elsewhere": 5}


def test_a_log_whose_clock_runs_ahead_is_of_now():
    told = Told()
    told.apply(10.0, bypass(ANN, 3610.0))

    assert told.asked == [(ANN, "login", 10.0, 10.0)]


def test_what_is_known_of_the_site_counts_and_the_site_may_be_a_file():
    told = Told()
    told.anyone = frozenset({4, 6})
    told.apply(0.0, bypass(ANN), bypass(BOB, site="/var/log/a\nb"))

    assert told.counted == {"twin": 1, "elsewhere": 1}


def test_a_kernel_that_does_not_answer_is_no_reason():
    told = Told()
    told.bypasses._look_at = no_answer
    told.apply(0.0, bypass(ANN))

    assert (told.counted, told.said) == ({"unknown": 1}, [])


def no_answer(*_):
    raise FirewallError("reading the firewall failed: no answer")


def test_a_flood_of_leaks_does_not_hold_up_the_loop(monkeypatch):
    monkeypatch.setattr(bypasses, "EXAMINED", 2)
    told = Told()
    told.apply(0.0, *(bypass(Address(f"203.0.113.{n}")) for n in range(5)))

    assert len(told.asked) == 2
    assert told.counted == {"elsewhere": 2, "unknown": 3}
