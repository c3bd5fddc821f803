import json
import math

from sidecar.alerts.occurrences import MAX_ADDRESSES, MAX_FIRST, MAX_LINE_CHARS, MAX_LINES, Digest, Occurrence
from sidecar.core.actions import AlertEvent
from sidecar.core.address import Address
from sidecar.core.events import Ban, BanCause, Bypass, Hit, Origin, Unban, UnbanCause
from tests.alerts.support import ban

ANN = Address("203.0.113.7")


def test_each_event_becomes_an_occurrence():
    evidence = tuple(f"line {number}" for number in range(100))
    made = Ban("web", ANN, 100.0, 160.0, BanCause.FAILURES, 3, "blog", evidence, decided_at=101.0)
    hit = Hit("web", ANN, 5.0, Origin("docker", "blog"), "x" * 5_000)

    assert Occurrence.of_ban(made, 999.0) == Occurrence(
        AlertEvent.BAN, "web", ANN, 101.0, "blog", 160.0, 60.0, "failures", 3, lines=evidence[-MAX_LINES:]
    )
    assert Occurrence.of_unban(Unban("web", ANN, 5.0, UnbanCause.EXPIRED)) == Occurrence(
        AlertEvent.UNBAN, "web", ANN, 5.0, cause="expired"
    )
    assert Occurrence.of_hit(hit).lines == ("x" * MAX_LINE_CHARS,)
    assert Occurrence.of_bypass(Bypass("web", ANN, 5.0, "blog"), "a proxy").reason == "a proxy"


def test_json_gives_it_back():
    occurrence = ban(1, until=math.inf, bantime=math.inf, lines=("a\udcff", "b"))

    assert Occurrence.from_json(json.loads(json.dumps(occurrence))) == occurrence


def test_a_digest_counts_and_names_the_first():
    digest, other = Digest(), Digest()
    digest.add([ban(number, at=float(number)) for number in range(8)])
    other.add([ban(number, "shop", at=float(number), dry_run=True) for number in range(8, 20)])
    digest.add_digest(other)

    assert digest.events == {(AlertEvent.BAN, False): 8, (AlertEvent.BAN, True): 12}
    assert (digest.jails, digest.sites) == ({"wordpress": 20}, {"blog": 8, "shop": 12})
    assert [one.at for one in digest.first] == [float(number) for number in range(MAX_FIRST)]
    assert (digest.count, len(digest.addresses), digest.since, digest.last) == (20, 20, 0.0, 19.0)


def test_the_oldest_is_taken_out():
    digest = Digest()
    digest.add([ban(1, at=1.0), ban(2, "shop", at=2.0)])
    digest.remove_first(ban(1, at=1.0))

    assert (digest.count, digest.since, digest.addresses) == (1, 2.0, ["203.0.0.2"])


def test_json_gives_a_digest_back():
    digest = Digest()
    digest.add([ban(1), ban(2, dry_run=True)])

    again = Digest.from_json(json.loads(json.dumps(digest.to_json())))
    assert again.to_json() == digest.to_json()


def test_a_digest_is_bounded():
    digest = Digest()
    digest.add([ban(number) for number in range(MAX_ADDRESSES + 5)])

    assert (digest.count, len(digest.addresses)) == (MAX_ADDRESSES + 5, MAX_ADDRESSES)
