"""What speaks against a ban is asked in one place, in one order."""

from dataclasses import replace

import pytest

from sidecar.core.allowlist import Allowlist
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail, Success
from sidecar.core.refused_bans import RefusalReason
from tests.core.test_guard import ALLOWLIST, ANN, LOGIN, hits, login, play


class Nobody:
    """A kernel that saw nobody."""

    def __init__(self):
        self.asked = 0

    def seen(self, address):
        self.asked += 1
        return False


def test_the_kernel_is_not_asked_about_an_allowlisted_address():
    kernel = Nobody()
    guard = Guard([LOGIN], Allowlist({"a friend": [ANN]}), witness=kernel)

    assert play(guard, hits(*range(10))) == []
    assert (kernel.asked, guard.view.ignored) == (0, {"a friend": 10})


def test_the_kernel_is_asked_only_when_a_ban_is_due_and_once_a_second():
    kernel = Nobody()
    guard = Guard([LOGIN], ALLOWLIST, witness=kernel)
    guard.hits(hits(0.0, 0.1), 0.1)
    assert kernel.asked == 0

    guard.hits(hits(0.2, 0.3, 0.4), 0.4)
    assert kernel.asked == 1
    assert guard.view.ignored == {RefusalReason.NEVER_SEEN: 3}


@pytest.mark.parametrize(("success", "banned"), [("ignore", 1), ("proof", 0), ("reset", 0)])
def test_what_an_access_log_proves_clears_failures_in_the_jails_that_ask_for_proofs(success, banned):
    access = Jail("access", success=Success.RESET, reads_requests=True)
    guard = Guard([replace(LOGIN, success=Success(success)), access], ALLOWLIST)
    proof = login(2)._replace(jail="access")

    assert len(play(guard, [*hits(0, 1), proof, *hits(3)])) == banned


def test_what_a_plugin_reports_is_no_proof_for_other_jails():
    plugin = Jail("plugin", success=Success.RESET)
    guard = Guard([replace(LOGIN, success=Success.PROOF), plugin], ALLOWLIST)

    assert len(play(guard, [*hits(0, 1), login(2)._replace(jail="plugin"), *hits(3)])) == 1


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("more", [{}, {"target": "/.env"}])
def test_an_allowlisted_address_does_not_count_with_a_target_or_without(own, more):
    jail = replace(LOGIN, ignoreip=(ANN,) if own else ())
    guard = Guard([jail], Allowlist({} if own else {"a friend": [ANN]}))

    assert guard.hits([hit._replace(**more) for hit in hits(*range(9))], 9) == []
    assert guard.view.ignored == {"ignoreip" if own else "a friend": 9}
