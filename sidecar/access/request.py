"""One request of an access log, and the canonical line that filters match."""

from __future__ import annotations

from typing import Final, NamedTuple

from sidecar.access.target import readable

UNKNOWN: Final = "-"
# Where a server writes a client's quotes as they are, the client decides how many requests a line may stand for. This
# many of them are looked at; nobody's browser makes a line that may stand for more.
MAX_READINGS: Final = 32
# Of these fields the canonical line has the beginning. It is made for each reading of a line, and a client may fill
# 64 KiB with any of them.
MAX_AGENT_CHARS: Final = 512
MAX_HOST_CHARS: Final = 255
MAX_USER_CHARS: Final = 255


class Request(NamedTuple):
    """What an access log says of one request. Text is as the log had it, unescaped; unknown text is empty."""

    # The address that the server holds for the client: the peer, or what a proxy that the server trusts named.
    client: str
    # As sent: `POST`. Empty where the request line was not HTTP.
    method: str
    # The request target as sent: `//wp-login.php?x=1`, `http://host/wp-login.php`.
    target: str
    # Decoded and normalised: `/wp-login.php`. See `target.split`.
    path: str
    # Without the `?`, each parameter decoded by itself and then made readable (`target.readable`).
    query: str
    # HTTP status code; 0 where the log has none (nginx logs 000 for a connection that it closed).
    status: int
    # The address that connected, where the log tells it apart from the client.
    peer: str = ""
    user_agent: str = ""
    host: str = ""
    # X-Forwarded-For as it came: a header that anyone may write.
    forwarded: str = ""
    # Unix seconds, UTC, fractions kept; None where the line has no date or one without a year.
    time: float | None = None
    # The user name of a Basic `Authorization` header, as the server wrote it. Empty: there was no such header, or the
    # log does not show it. The password may have been wrong.
    user: str = ""
    # The addresses that stand in the client's place, where these are several; the last is certain. See `chain.py`.
    chain: tuple[str, ...] = ()

    @property
    def canonical(self) -> str:
        """The line that filters with `input = requests` match; docs/filters.md describes it.

        CLIENT METHOD PATH STATUS ?QUERY HOST "USER AGENT"
        """
        return (
            f"{self.client} {readable(self.method) or UNKNOWN} {readable(self.path) or UNKNOWN} {self.status:03d} "
            f"?{self.query} {readable(self.host[:MAX_HOST_CHARS]) or UNKNOWN} "
            f'"{readable(self.user_agent[:MAX_AGENT_CHARS], blanks=True)}"'
        )

    @property
    def canonical_user(self) -> str:
        """The field that `input = requests with user` adds at the end of the line; "" where there is none."""
        return readable(self.user[:MAX_USER_CHARS])
