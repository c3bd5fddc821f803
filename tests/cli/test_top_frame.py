import io

import pytest
from rich.console import Console

from sidecar.cli.top_frame import frame

LONGEST = "2001:db8:1234:5678:9abc:def0:1234:5678/128"
LOG = "a-container-with-a-name-of-forty-letters"
ADDRESS = {
    "ip": LONGEST,
    "failures": 1234,
    "jail": "wordpress-access",
    "site": LOG,
    "banned": True,
    "dropped": 1_234_567,
}
DECISION = {
    "at": 6999.0, "what": "would be banned", "ip": LONGEST, "jail": "wordpress", "why": "spam\x1b[2J", "site": "blog",
}  # fmt: skip
ANSWER = {
    "version": "0.1.0", "started": 1.0, "now": 7000.0, "health": {"live": True, "ready": True, "why": []},
    "bans": 100_000, "failures": 1234, "dropped": 99_999,
    "jails": [{"name": f"wordpress-{n}", "failures": 9, "bans": 2, "active": 1} for n in range(9)],
    "sites": [{"name": LOG, "failures": 3}] * 20,
    "addresses": [ADDRESS] * 20,
    "decisions": [DECISION] * 20,
}  # fmt: skip
ILL = ANSWER | {"health": {"live": True, "ready": False, "why": ["the disk is full " * 20, "second"]}}


def shown(answer, width, height, before=None):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(frame(answer, before, width, height))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("answer", [ANSWER, ILL])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (132, 40), (60, 15), (80, 12)])
def test_a_frame_fits_and_breaks_no_address(answer, width, height):
    lines = shown(answer, width, height)

    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert sum(LONGEST in line for line in lines) >= 2


def test_the_head_has_health_bans_and_rates():
    before = ANSWER | {"now": 6998.0, "failures": 1214, "dropped": 99_998}

    assert shown(ANSWER, 80, 24, before)[:2] == [
        "wp-sidecar 0.1.0, up 1h 56m, healthy, 100,000 banned",
        "failures 10.0/s (1,234 so far), packets dropped 0.5/s (99,999 so far)",
    ]
    assert shown(ANSWER, 80, 24, ANSWER)[1] == "failures 1,234 so far, packets dropped 99,999 so far"
    # The daemon was restarted.
    assert shown(ANSWER, 80, 24, before | {"failures": 9e9})[1].startswith("failures 0.0/s")


def test_without_a_terminal_all_is_shown():
    lines = shown(ILL, 80, None)

    assert "second" in lines
    assert sum(LONGEST in line for line in lines) == 40


def test_what_attackers_wrote_is_printed_safely():
    lines = shown(ANSWER, 132, 40)

    assert any("spam\\x1b[2J" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_what_is_unknown_is_left_empty():
    answer = ANSWER | {
        "addresses": [ADDRESS | {"banned": False, "dropped": None}],
        "sites": [],
        "decisions": [],
    }

    (line,) = (line for line in shown(answer, 132, 40) if LONGEST in line)
    assert line.split() == [LONGEST, "1234", "wordpress-access", LOG]
