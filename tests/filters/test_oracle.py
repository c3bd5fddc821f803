"""Verdict for verdict with fail2ban: the same filter, the same line, the same clock and zone."""

import os
import time

import pytest

from sidecar.filters.loader import load
from sidecar.filters.verdict import decide, parted
from tests.filters import oracle

# Filters that look at several lines at once, or follow a session over lines: refused by name until they are supported.
LATER = {"ejabberd-auth", "guacamole", "mongodb-auth", "sendmail-auth", "sendmail-reject", "slapd", "sshd"}


@pytest.fixture(autouse=True)
def zone():
    before = os.environ.get("TZ")
    os.environ["TZ"] = oracle.ZONE
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def ours(rules, line):
    text, date = parted(rules, line.rstrip("\r\n"))
    failure = decide(rules, text)
    if failure is None or failure.groups.get("nofail") is not None:
        return None
    return failure.rule, failure.id, rules.dates.seconds(date, oracle.NOW) if date else None


@pytest.mark.parametrize("name", [name for name in oracle.stock() if name not in LATER])
def test_a_stock_filter_says_what_fail2ban_says_of_its_own_samples(name):
    engines, differences, lines = {}, [], 0
    for options, line in oracle.own_lines(name):
        key = tuple(sorted(options.items()))
        if key not in engines:
            given = {"mode": "normal", **options, "usedns": "raw"}
            engines[key] = load(name, [oracle.CONFIG / "filter.d"], given), oracle.Oracle(name, options)
        rules, theirs = engines[key]
        lines += 1
        told = theirs.tell(line)
        said = ours(rules, line)
        if told and said and said[2] is None:
            said = (*said[:2], told[2])
        if said != told:
            differences.append((line, told, said))
    assert differences == []
