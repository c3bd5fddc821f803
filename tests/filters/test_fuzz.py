"""fail2ban's own sample lines, changed at random: fail2ban and we have the same verdict on what they become.

`FUZZ=100000 pytest tests/filters/test_fuzz.py` tries this many lines (3,000 by default), `SEED=7` repeats a run.
"""

import os
import random
import time

import pytest

from sidecar.core.address import parse_host
from sidecar.filters.loader import load
from sidecar.filters.sessions import SessionTracker
from sidecar.filters.verdict import canonical, split_date
from tests.filters import oracle
from tests.support.seed import SEED

CASES = int(os.environ.get("FUZZ", "3000"))
JUNK = [
    *(" ", "  ", "[", "]", '"', "'", ":", "a", "0", " from ", "\t", "\\", "/", "é", "<", "(", ")", "="),
    *("203.0.113.7", "2001:db8::7", "::ffff:192.0.2.1", "[2001:db8::1]", "192.0.2.1/24", "999.1.1.1", "01.02.03.04"),
    *("example.com", "user=<a>", "rhost=203.0.113.9", "sshd[7]: ", "host ", "Failed password for "),
]  # fmt: skip


@pytest.fixture(autouse=True)
def zone(monkeypatch):
    monkeypatch.setenv("TZ", oracle.ZONE)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def mutated(line, rnd):
    for _ in range(rnd.randrange(1, 4)):
        at, upto = sorted(rnd.randrange(len(line) + 1) for _ in range(2))
        match rnd.randrange(5):
            case 0:
                line = line[:at] + rnd.choice(JUNK) + line[at:]
            case 1:
                line = line[:at] + line[min(upto, at + rnd.randrange(8)) :]
            case 2:
                line = rnd.choice(JUNK) + line
            case 3:
                line = line + rnd.choice(JUNK)
            case 4:
                line = line[:at] + line[at:upto] + line[at:]
    return line[:2_000].replace("\n", " ").replace("\r", " ")


def same(verdict, expected):
    """Return whether verdict, failregex and address agree; the differences in docs/filters.md are none."""
    if verdict is None or expected is None:
        return verdict is expected or (
            verdict is not None and parse_host(verdict[1].partition("/")[0]) is None
        )
    ours, theirs = verdict[1], str(expected[1])
    valid = canonical(theirs) or theirs
    # One of them may not know a zone's name.
    dated = None in (verdict[2], expected[2]) or verdict[2] == expected[2]
    return (
        dated
        and verdict[0] == expected[0]
        and (ours in {theirs, valid} or parse_host(theirs.partition("/")[0]) is None)
    )


def ours(rules, line, tracker):
    text, date = split_date(rules, line)
    at = rules.dates.seconds(date, oracle.NOW) if date else None
    failure = tracker.decide(text, oracle.NOW if at is None else at)
    return failure and (failure.rule, canonical(failure.id) or failure.id, at, text)


def test_a_changed_line_has_fail2bans_verdict():
    rnd = random.Random(SEED)
    filters = [name for name in oracle.stock() if any(not options for options, _ in oracle.own_lines(name))]
    differences, tried = [], 0
    for name in filters:
        lines = [line for options, line in oracle.own_lines(name) if not options]
        rules = load(name, [oracle.CONFIG / "filter.d"], {"mode": "normal", "usedns": "raw"})
        theirs = oracle.Oracle(name, {})
        for _ in range(CASES // len(filters) + 1):
            line = mutated(rnd.choice(lines), rnd)
            verdict, expected = ours(rules, line, SessionTracker(rules)), theirs.decide(line)
            # It may go by the lines before: by its date templates, its sessions.
            if not same(verdict, expected):
                expected = oracle.Oracle(name, {}).decide(line)
            tried += 1
            if not same(verdict, expected):
                differences.append((name, line, expected, verdict))
    assert tried >= CASES
    assert (SEED, differences) == (SEED, [])
