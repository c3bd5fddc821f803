"""What the guard forgets when memory is short: what explains bans, and what makes the next ones longer or sooner.

Bans in force are never given up for memory; only no more of them are made room for (`max_bans.py`).
"""

from __future__ import annotations

from sidecar.core.guard_state import GuardState


def relieve(state: GuardState) -> None:
    """Forget the older half of the evidence, of the history and of the failing addresses.

    None of them takes more memory than is left of it now, until `recover`.
    """
    state.jails.evidence.shrink()
    state.history.shrink()
    for jail in state.jails:
        jail.failures.window.shrink()


def recover(state: GuardState) -> None:
    """Let everything grow again: there is enough memory."""
    state.jails.evidence.grow()
    state.history.grow()
    for jail in state.jails:
        jail.failures.window.grow()
