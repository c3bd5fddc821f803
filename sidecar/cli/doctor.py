"""`doctor`: what is wrong with the host and its sites, and the line to change."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from sidecar.advice.finding import Finding
from sidecar.cli.stdio import terminal_width, write_json, write_line, write_paragraph, write_styled
from sidecar.control.exit_codes import ExitCode
from sidecar.core.text import printable

# Sentences, and what to change, begin below one another.
INDENT: Final = " " * 9
OK: Final = "  ok     "
WRONG: Final = "  WRONG  "


def show(findings: Sequence[Finding], *, only_wrong: bool, as_json: bool) -> ExitCode:
    """Write the findings, and return the exit code. `only_wrong`: without what is well."""
    wrong = sum(not each.ok for each in findings)
    shown = [each for each in findings if not (only_wrong and each.ok)]
    if as_json:
        write_json({"ok": not wrong, "findings": [each._asdict() for each in shown]})
    else:
        for subject, group in itertools.groupby(shown, attrgetter("subject")):
            write_line(printable(subject))
            for each in group:
                _show(each)
            write_line("")
        if wrong:
            write_styled(f"wrong: {wrong} of {len(findings)}", fg="red")
        else:
            write_styled(f"all well: {len(findings)} findings", fg="green")
    return ExitCode.NO if wrong else ExitCode.OK


def _show(finding: Finding) -> None:
    write_paragraph(finding.sentence, terminal_width(), INDENT, OK if finding.ok else WRONG)
    if finding.change:
        write_paragraph(finding.change, terminal_width(), INDENT)
