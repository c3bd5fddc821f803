import pytest

from sidecar.control.commands.loop_access import LoopAccess, check_jail
from sidecar.control.protocol import Refused
from sidecar.core.allowlist import Allowlist
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.runtime.loop import Inbox


def refuse(*_):
    raise Refused("not today")


def nothing(*_):
    return ()


def test_what_a_command_raises_reaches_the_person(loop):
    with pytest.raises(Refused, match="not today"):
        loop.decide(refuse)
    with pytest.raises(Refused, match="not today"):
        loop.query(refuse)


def test_a_loop_that_is_busy_is_a_refusal():
    access = LoopAccess(Inbox(), timeout_s=0.01)

    with pytest.raises(Refused, match="wp-sidecar is busy: no answer within 0 s; try again"):
        access.decide(nothing)
    with pytest.raises(Refused, match="wp-sidecar is busy"):
        access.query(nothing)


def test_a_loop_that_has_stopped_is_a_refusal():
    inbox = Inbox()
    inbox.close()

    with pytest.raises(Refused, match="wp-sidecar is stopping"):
        LoopAccess(inbox).decide(nothing)
    with pytest.raises(Refused, match="wp-sidecar is stopping"):
        LoopAccess(inbox).query(nothing)


def test_an_unknown_jail_is_refused_with_the_known_ones():
    view = Guard([Jail("login")], Allowlist()).view

    assert check_jail(view, "") is None
    assert check_jail(view, "login") is None
    with pytest.raises(Refused, match="no jail is named lgoin; there are login, manual"):
        check_jail(view, "lgoin")
