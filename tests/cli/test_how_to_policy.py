"""docs/how-to/choose-a-policy.md shows what `replay` prints."""

from __future__ import annotations

import re
import shlex
import time

import pytest

from tests.cli import week
from tests.support.paths import ROOT

PAGE = (ROOT / "docs/how-to/choose-a-policy.md").read_text()
# A command, and what it prints; `[...]` stands for lines that are left out.
SHOWN = re.findall(r"```\n\$ wp-sidecar (.*)\n((?:.*\n)*?)```\n", PAGE)


@pytest.fixture
def week_wp(wp, here, monkeypatch):
    """`wp` in a folder with the log and the jails files of the page, in its time zone."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.delenv("WP_SIDECAR_FILTERS")
    (here / "access.log").write_text(week.access_log())
    for name, jails in (("jails", week.JAILS), ("strict", week.STRICT), ("patient", week.PATIENT)):
        (here / f"{name}.conf").write_text(jails)
    yield wp
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("command", "shown"), SHOWN)
def test_the_page_shows_what_is_printed(week_wp, command, shown):
    code, out, err = week_wp(*shlex.split(command))

    assert (code, err) == (0, "")
    at = 0
    for part in shown.split("[...]\n"):
        found = out.find(part, at)
        assert found >= 0, part
        at = found + len(part)


def test_the_page_has_three_commands():
    assert len(SHOWN) == 3
