"""What ends everything asks on a terminal whether that is meant; a program is not asked."""

import pytest

from tests.support.paths import COMMAND
from tests.support.terminal import on_a_terminal

QUESTIONS = {"unban": "End all bans?", "disallow": "Take back all that was allowed?"}


@pytest.fixture(autouse=True)
def answers(daemon):
    daemon.answers |= {"unban": {"unbanned": []}, "disallow": {"disallowed": []}}


def answered(*args, says=""):
    """Return what a command shows on a terminal and its exit code, when this is typed after its question."""
    with on_a_terminal(str(COMMAND), *args) as terminal:
        if says:
            terminal.until(QUESTIONS[args[0]])
            terminal.type(says)
        code = terminal.end()
        return terminal.shown, code


@pytest.mark.parametrize("command", QUESTIONS)
def test_on_a_terminal_it_asks_and_does_nothing_without_a_yes(daemon, command):
    for says in ("n\n", "\n", "\x03"):
        shown, code = answered(command, "--all", says=says)
        assert (QUESTIONS[command] in shown, code) == (True, 1)
    assert daemon.asked == []

    assert answered(command, "--all", says="y\n")[1] == 0
    assert [each["do"] for each in daemon.asked] == [command]


@pytest.mark.parametrize("command", QUESTIONS)
def test_with_yes_and_without_a_terminal_nothing_is_asked(daemon, wp, command):
    shown, code = answered(command, "--all", "--yes")

    assert (QUESTIONS[command] in shown, code) == (False, 0)
    assert wp(command, "--all")[0] == 0
    assert [each["who"] for each in daemon.asked] == [None, None]
