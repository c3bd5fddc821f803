"""fail2ban's own sample lines, changed at random: whatever they have become, it and we say the same of them.

`FUZZ=100000 pytest tests/filters/test_fuzz.py` tries so many lines (3,000 by default), `SEED=7` those of that seed.
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

CASES, SEED = int(os.environ.get("FUZZ", "3000")), int(os.environ.get("SEED", str(random.randrange(2**32))))
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


def same(said, told):
    """The verdict, the failregex and whom; the known differences (docs/filters.md) are no difference."""
    if said is None or told is None:
        return said is told or (said is not None and parse_host(said[1].partition("/")[0]) is None)
    ours, theirs = said[1], str(told[1])
    valid = canonical(theirs) or theirs
    dated = None in (said[2], told[2]) or said[2] == told[2]  # a zone that one does not know
    return (
        dated
        and said[0] == told[0]
        and (ours in {theirs, valid} or parse_host(theirs.partition("/")[0]) is None)
    )


def ours(rules, line, memory):
    text, date = split_date(rules, line)
    at = rules.dates.seconds(date, oracle.NOW) if date else None
    failure = memory.decide(text, oracle.NOW if at is None else at)
    return failure and (failure.rule, canonical(failure.id) or failure.id, at, text)


def test_a_changed_line_is_what_fail2ban_says_it_is():
    rnd = random.Random(SEED)
    filters = [name for name in oracle.stock() if any(not options for options, _ in oracle.own_lines(name))]
    differences, tried = [], 0
    for name in filters:
        lines = [line for options, line in oracle.own_lines(name) if not options]
        rules = load(name, [oracle.CONFIG / "filter.d"], {"mode": "normal", "usedns": "raw"})
        theirs = oracle.Oracle(name, {})
        for _ in range(CASES // len(filters) + 1):
            line = mutated(rnd.choice(lines), rnd)
            said, told = ours(rules, line, SessionTracker(rules)), theirs.tell(line)
            if not same(said, told):  # it may go by the lines before: its date templates, its sessions
                told = oracle.Oracle(name, {}).tell(line)
            tried += 1
            if not same(said, told):
                differences.append((name, line, told, said))
    assert tried >= CASES
    assert (SEED, differences) == (SEED, [])
