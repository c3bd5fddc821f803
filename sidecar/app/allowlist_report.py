"""Problems with the allowlist: networks that it does not take in, and too much that it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.advice import allowlist as advice
from sidecar.core.allowlist import Allowlist
from sidecar.core.allowlist_bounds import RefusedNetworks, shares
from sidecar.runtime.problems import Problems

REFUSED_PROBLEM: Final = "networks for the allowlist"
SHARE_PROBLEM: Final = "the size of the allowlist"
# A part of all public addresses of an IP version. All CDNs together have 0.5 %, a country seldom more than 3 %.
MAX_SHARE: Final = 0.05
# From here on most attackers cannot be banned, so the daemon is not ready.
CRITICAL_SHARE: Final = 0.5


class AllowlistReport:
    """Owned by the loop's thread."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def report(self, allowlist: Allowlist, refused: Sequence[RefusedNetworks]) -> None:
        """Report what is wrong with this allowlist; `refused` are the networks that it does not have."""
        sentence = advice.refused_networks(refused) if refused else None
        self._problems.report(REFUSED_PROBLEM, sentence, critical=False)
        found = shares(allowlist)
        most, version = max((sum(by_reason.values()), version) for version, by_reason in found.items())
        sentence = advice.too_much(version, found[version]) if most > MAX_SHARE else None
        self._problems.report(SHARE_PROBLEM, sentence, critical=most > CRITICAL_SHARE)
