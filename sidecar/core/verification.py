"""Whether an address in a log is the client's own.

A log line can name a stranger where a proxy hides the client or a header is believed. So what knows more about the
client than the log, such as the kernel, is asked before a ban is made.
"""

from __future__ import annotations

from typing import Final, Protocol

from sidecar.core.events import Hit


class AddressVerifier(Protocol):
    """Knows whether a client came from the address that a line names."""

    def unverified_reason(self, hit: Hit) -> str | None:
        """Return why this address may not be the client's, so that it is not banned; None: it is taken for true."""


class NoVerifier:
    """Takes every address for true."""

    def unverified_reason(self, _: Hit) -> None:
        return None


NO_VERIFIER: Final[AddressVerifier] = NoVerifier()
