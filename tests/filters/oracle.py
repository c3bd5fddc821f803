"""fail2ban itself, as the distribution installs it, decides line by line: our verdicts are compared with it.

Only ever imported by tests: fail2ban is GPL, and no part of it is in this project.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    # Debian 12's fail2ban is older than its Python.
    warnings.simplefilter("ignore")
    try:
        import fail2ban.tests
        from fail2ban.client.filterreader import FilterReader
        from fail2ban.server.filter import Filter
        from fail2ban.server.mytime import MyTime
    except ImportError as err:
        # A test that cannot run must not pass.
        raise AssertionError(
            "fail2ban is what our verdicts are compared with: `apt-get install fail2ban`"
        ) from err

CONFIG = Path("/etc/fail2ban")
LOGS = Path(fail2ban.tests.__file__).parent / "files" / "logs"
# The clock and the time zone of fail2ban's own samples; the clock is 2005-08-14.
NOW = 1_124_013_600.0
ZONE = "CET-01CEST-02,M3.5.0,M10.5.0"
# The failregex (from 0), the address and the time of a failure.
OracleVerdict = tuple[int, str, float | None] | None


class Oracle:
    """One filter, as fail2ban reads and applies it. Names are kept, not resolved; every date counts, however old.

    `with_datepattern` false: it looks for dates by its default templates, whatever the filter says.
    """

    def __init__(
        self, name: str, options: Mapping[str, str], config: Path = CONFIG, *, with_datepattern: bool = True
    ) -> None:
        MyTime.setTime(NOW)
        reader = FilterReader(name, "oracle", {"mode": "normal", **options})
        reader.setBaseDir(str(config))
        assert reader.read()
        reader.getOptions({})
        self._filter = Filter(None)
        self._filter.checkFindTime = False
        self._filter.setUseDns("raw")
        for command in reader.convert():
            if with_datepattern or command[2] != "datepattern":
                self._configure(command)

    def _configure(self, command: list[Any]) -> None:
        match command:
            case ["set" | "multi-set", _, "addfailregex" | "addignoreregex" as option, regexes]:
                add = self._filter.addFailRegex if option == "addfailregex" else self._filter.addIgnoreRegex
                for regex in [regexes] if isinstance(regexes, str) else regexes:
                    add(regex)
            case ["set", _, "prefregex", regex]:
                self._filter.prefRegex = regex
            case ["set", _, "datepattern", pattern]:
                self._filter.setDatePattern(pattern)
            case ["set", _, "maxlines", lines]:
                self._filter.setMaxLines(int(lines))
            case ["set" | "multi-set", _, "addjournalmatch" | "usedns", *_]:
                pass
            case _:
                raise AssertionError(f"fail2ban sends a command that this does not know: {command}")

    def decide(self, line: str) -> OracleVerdict:
        failures = self._filter.processLine(line)
        if not failures:
            return None
        index, address, when, fields = failures[0]
        assert index >= 0, fields
        return index, str(address), when


def stock() -> list[str]:
    """Return the names of the distribution's filters, without the files that are only included."""
    names = {path.stem for path in (CONFIG / "filter.d").glob("*.conf")}
    assert names, "fail2ban's filters are missing: `apt-get install --reinstall fail2ban`"
    return sorted(name for name in names if "-common" not in name and name != "common")


def own_lines(name: str) -> Iterator[tuple[dict[str, str], str]]:
    """Yield fail2ban's own sample lines for a filter, each with the options that it is meant for."""
    path = LOGS / name
    sets: list[dict[str, str]] = [{}]
    for line in path.read_text(errors="replace").split("\n") if path.is_file() else ():
        head, _, rest = line.partition(":")
        if head.strip("# ") == "filterOptions":
            given = json.loads(rest)
            sets = [
                {key: str(value) for key, value in one.items() if not key.startswith("test.")}
                for one in (given if isinstance(given, list) else [given])
            ]
        elif line and not line.startswith("#"):
            yield from ((one, line) for one in sets)
