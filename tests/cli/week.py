"""A week of a small site's access log, made up: docs/how-to/choose-a-policy.md shows what `replay` finds in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2026, 11, 16, tzinfo=UTC)
DAYS = 7
FAST = tuple(f"203.0.113.{number}" for number in (12, 40, 77, 98))
# From here one guess comes every 8 minutes, all night.
SLOW = ("198.51.100.23", "2001:db8:4f:11:a8bb:ccff:fe10:2030")
# They mistype their password some times, and log in.
PEOPLE = ("192.0.2.10", "192.0.2.33", "2001:db8:7:2:20c:29ff:fe5a:77e1")

JAILS = "[wordpress-access]\nmaxretry = 5\nfindtime = 10m\nbantime = 1h\n"
STRICT = "[wordpress-access]\nmaxretry = 3\nfindtime = 10m\nbantime = 1h\n"
PATIENT = "[wordpress-access]\nmaxretry = 5\nfindtime = 2h\nbantime = 1d\n"


def access_log() -> str:
    """The lines, in the order of their times."""
    lines = sorted(_lines(), key=lambda line: line[0])
    return "".join(f'{client} - - [{_date(at)}] "{rest}\n' for at, client, rest in lines)


def _lines() -> Iterator[tuple[datetime, str, str]]:
    for minute in range(0, DAYS * 1_440, 3):
        at = BEGIN + timedelta(minutes=minute)
        yield at, f"192.0.2.{100 + minute % 90}", f'GET /?p={minute} HTTP/1.1" 200 8213 "-" "Mozilla/5.0"'
    for number, client in enumerate(FAST):
        yield from _guesses(client, BEGIN + timedelta(days=number * 1.6, hours=3), 40, timedelta(seconds=4))
    for number, client in enumerate(SLOW):
        yield from _guesses(client, BEGIN + timedelta(days=2 + number, hours=1), 45, timedelta(minutes=8))
    for number, client in enumerate(PEOPLE):
        at = BEGIN + timedelta(days=number * 2, hours=9)
        yield from _guesses(client, at, 3, timedelta(seconds=25))
        at += timedelta(seconds=90)
        yield at, client, 'POST /wp-login.php HTTP/1.1" 302 0 "-" "Mozilla/5.0"'
        yield at + timedelta(seconds=1), client, 'GET /wp-admin/ HTTP/1.1" 200 41322 "-" "Mozilla/5.0"'


def _guesses(client: str, at: datetime, times: int, pause: timedelta) -> Iterator[tuple[datetime, str, str]]:
    for number in range(times):
        yield at + number * pause, client, 'POST /wp-login.php HTTP/1.1" 200 5112 "-" "Mozilla/5.0"'


def _date(at: datetime) -> str:
    return at.strftime("%d/%b/%Y:%H:%M:%S +0000")
