"""Bans that end early are a problem while they do."""

from sidecar.app.max_bans_report import MaxBansReport
from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from tests.app.world import Changes


def test_it_is_reported_until_nothing_ends_early_any_more():
    scattered = [Ban("login", Address(f"198.18.{n}.7"), 0.0, 100.0 + n, "failures") for n in range(20)]
    crowd = [Ban("login", Address(f"203.0.113.{n}"), 0.0, 200.0, "failures") for n in range(16)]
    guard = Guard([Jail("login")], Allowlist(), [*scattered, *crowd], max_bans=16)
    changes = Changes()
    report = MaxBansReport(changes.problems().problem("the number of bans", critical=False))

    assert (report.run(guard, 1.0), changes) == ((), [])
    guard.tick(1.0)
    report.run(guard, 2.0)
    [(name, sentence)] = changes
    assert name == "the number of bans"
    assert (
        "(15 now): 16 were replaced by bans of their networks, and 6 that would have ended first" in sentence
    )

    report.run(guard, 32.0)
    assert changes[1:] == [("the number of bans", None)]
