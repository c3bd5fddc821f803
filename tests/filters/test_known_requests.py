"""What is remembered of requests is bounded."""

from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters import known_requests
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher

NOW = 1_796_100_000.0
LINE = '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 51 "-" "{agent}"\n'


def test_it_does_not_grow_with_the_words_that_attackers_put_into_lines(monkeypatch):
    """Each word that is searched for may lead to other filters, and lines may have any of them."""
    monkeypatch.setattr(known_requests, "MAX_KNOWN_BYTES", 50_000)
    matcher = Matcher({"a": load("wordpress-access"), "p": load("wordpress-probes")})
    words = [".aws", ".git", ".env", ".sql", "readme", "changelog", "route", "author", "404", "401"]
    for number in range(1 << len(words)):
        chosen = " ".join(word for bit, word in enumerate(words) if number >> bit & 1)
        origin = Origin("docker", f"site {number % 3}", jails=("a", "p"))
        matcher.scan(Batch(origin, LINE.format(agent=f"{number} {chosen}").encode(), Framing.NONE), NOW)

    remembered = matcher._known._logs.values()
    kept = sum(len(known.lines) + len(known.requests) for known in remembered)
    assert 0 < kept <= 50_000 / known_requests.KNOWN_LINE_BYTES
