"""What `test-filter` tries: one filter, on the lines of a log or on its own samples.

Every expression has a time limit, so a line that would stall the filter is given up and the others are still shown.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Final, NamedTuple

from sidecar.access.detect import AccessLog
from sidecar.access.formats import TextFormat, declared
from sidecar.access.reader import RequestReader
from sidecar.cli.log_lines import Reader, decode_line, line_chunks, with_framing
from sidecar.config import reader
from sidecar.config.errors import ConfigError, ConfigErrors
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.core.events import Framing
from sidecar.filters.database import PatternDatabase
from sidecar.filters.framing import unwrapper
from sidecar.filters.loader import Filter, FilterErrors, load
from sidecar.filters.redos_sandbox import MATCH_TIMEOUT_S, RegexTimeoutError
from sidecar.filters.sessions import SessionTracker
from sidecar.filters.time_zones import parse_time_zone
from sidecar.filters.verdict import Failure, Tracker, Verdict, decide, explain, ignored_by

NO_MATCH: Final = Verdict(matched=False)


@dataclass(frozen=True, slots=True)
class Trial:
    """One filter, as it is to be tried.

    `zone` is of dates that have none. `transport` and `access_format` None: they are detected.
    """

    rules: Filter
    now: float
    zone: tzinfo | None = None
    transport: Framing | None = None
    access_format: TextFormat | None = None

    def reader(self) -> RequestReader | None:
        """Return what reads the access log, if the filter is one on requests."""
        if not self.rules.reads_requests:
            return None
        return RequestReader(AccessLog(self.access_format, self.rules.zone or self.zone))

    def tracker(self) -> SessionTracker | None:
        """Return what the filter needs to remember of earlier lines, if it does."""
        return SessionTracker(self.rules) if self.rules.needs_earlier_lines else None

    def verdicts(self, stream: Reader, reader: RequestReader | None = None) -> Iterator[LineVerdict]:
        """Yield a verdict for each line. Lines that the prefilter leaves out are not decided.

        `reader` is what `reader()` returned; it knows the log's format at the end.
        """
        database = PatternDatabase([self.rules])
        tracker = self.tracker()
        for chunk, framing in with_framing(line_chunks(stream), self.transport):
            candidates = database.candidates(chunk)
            candidate = next(candidates, None)
            # splitlines() would see line ends where a log has none.
            for line in chunk[:-1].split(b"\n"):
                text = decode_line(line)
                if candidate is None or line != candidate[0]:
                    yield LineVerdict(
                        text, framing, Verdict(matched=False, text=self.request(text, framing, reader))
                    )
                    continue
                yield self.verdict(text, framing, tracker, reader)
                candidate = next(candidates, None)

    def request(self, line: str, framing: Framing, reader: RequestReader | None) -> str:
        """Return the canonical line of the request that a line stands for; "" without one, or without a reader."""
        if reader is None:
            return ""
        _, text = unwrapper(framing)(line.rstrip("\r\n"), self.now, self.zone)
        readings = reader.readings(text)
        return readings[0].canonical if readings else ""

    def verdict(
        self, text: str, framing: Framing, tracker: Tracker | None, reader: RequestReader | None = None
    ) -> LineVerdict:
        """Return what the filter says about one line."""
        try:
            with time_limit():
                verdict = explain(
                    self.rules, text, framing, self.now, self.zone, tracker=tracker, reader=reader
                )
                rule = None if verdict.matched else ignored_by(self.rules, verdict.text)
        except RegexTimeoutError:
            return LineVerdict(text, framing, stalled=True)
        return LineVerdict(text, framing, verdict, ignored_by=rule.text if rule else "")


class LineVerdict(NamedTuple):
    """A line, and what the filter says about it. `stalled`: an expression took too long, so there is no verdict.

    `ignored_by` is the `ignoreregex` that excludes the line.
    """

    text: str
    framing: Framing
    verdict: Verdict = NO_MATCH
    stalled: bool = False
    ignored_by: str = ""


def load_trial(
    environ: Mapping[str, str],
    name: str,
    *,
    filters: Path | None = None,
    options: Sequence[str] = (),
    usedns: str = "",
    now: str = "",
    zone: str = "",
    transport: Framing | None = None,
    access_format: str = "",
) -> Trial:
    """Load the filter of this name with these `key=value` options. Raises Failed and ConfigErrors."""
    given = dict(_parse_option(option) for option in options)
    if usedns:
        given["usedns"] = usedns
    rules = _load(name, reader.filter_folders(environ, filters), given)
    time_zone = _parse_zone(zone) if zone else None
    at = _parse_time(now, time_zone) if now else time.time()
    return Trial(rules, at, time_zone, transport, _parse_format(access_format) if access_format else None)


def decide_in_time(rules: Filter, text: str, candidates: Sequence[int] | None = None) -> Failure | None:
    """Return what `decide` does; a text that stalls an expression is not a failure."""
    with suppress(RegexTimeoutError), time_limit():
        return decide(rules, text, candidates)
    return None


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise RegexTimeoutError once the block has taken too much processor time.

    A command runs in the main thread, where a signal can interrupt `re`. The daemon tries suspicious lines in another
    process instead; this also stops expressions that were not suspected, and those of dates.
    """

    def give_up(*_: object) -> None:
        raise RegexTimeoutError

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, MATCH_TIMEOUT_S, MATCH_TIMEOUT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _load(name: str, folders: list[Path], options: Mapping[str, str]) -> Filter:
    try:
        return load(name, folders, options)
    except FilterErrors as err:
        in_file = [error for error in err.errors if error.file]
        of_options = [error for error in err.errors if not error.file]
        is_readable = any(Path(error.file).is_file() for error in err.errors)
        if is_readable or (options and of_options):
            raise ConfigErrors(
                [
                    *(
                        ConfigError(each.file, "", "", f"{each.message} ({each.text})", each.line)
                        for each in in_file
                    ),
                    *(ConfigError("option", "", "", f"{each.message} ({each.text})") for each in of_options),
                ]
            ) from err
        raise Failed(ExitCode.NO_INPUT, "; ".join(error.message for error in err.errors)) from err


def _parse_option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise Failed(ExitCode.USAGE, f'--set: expected key=value such as mode=aggressive, got "{text}"')
    return key.strip(), value


def _parse_zone(text: str) -> tzinfo:
    try:
        return parse_time_zone(text)
    except ValueError as err:
        raise Failed(ExitCode.USAGE, f"--timezone: {err}") from None


def _parse_format(text: str) -> TextFormat:
    try:
        return declared("--log-format", text)
    except ValueError as err:
        raise Failed(ExitCode.USAGE, f"--log-format: {err}") from None


def _parse_time(text: str, zone: tzinfo | None) -> float:
    with suppress(ValueError):
        return float(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Failed(
            ExitCode.USAGE, f'--now: expected 2026-11-22T08:40:04 or seconds since 1970, got "{text}"'
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()
