"""`top` in a real terminal: a pane of tmux."""

import os
import shlex
import subprocess
import sys

import pytest

from tests.cli.test_top_frame import ANSWER, LONGEST
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

PATIENCE_S = 60.0
COMMAND = f"{shlex.quote(sys.executable)} -m sidecar top --every 0.2"


class Pane:
    """A shell in a pane of tmux; a server of its own, with no configuration."""

    def __init__(self, folder, columns=80, rows=24):
        self._tmux = ["tmux", "-f", "/dev/null", "-S", str(folder / "tmux")]
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "WP_SIDECAR_SOCKET") if key in os.environ}
        words = [f"{key}={value}" for key, value in {**kept, "LC_ALL": "C.UTF-8", "PS1": "prompt> "}.items()]
        self.do(
            "new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(ROOT), "env", "-i", *words, "TERM=screen",
            "sh", "-i",
        )  # fmt: skip

    def do(self, *arguments):
        return subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True).stdout

    def type(self, text):
        self.do("send-keys", "-l", text)
        self.do("send-keys", "Enter")

    @property
    def text(self):
        return self.do("capture-pane", "-p")

    def shows(self, text):
        wait_until(lambda: text in self.text, PATIENCE_S, lambda: f"{text!r} is not in:\n{self.text}")

    def prompts(self):
        """Wait until the shell waits for a command."""
        wait_until(
            lambda: self.text.rstrip().endswith("prompt>"),
            PATIENCE_S,
            lambda: f"no prompt at the end of:\n{self.text}",
        )

    def close(self):
        self.do("kill-server")


@pytest.fixture
def pane(tmp_path, daemon):
    daemon.answers["top"] = ANSWER
    pane = Pane(tmp_path)
    pane.prompts()
    yield pane
    pane.close()


@pytest.fixture
def top(pane):
    """The pane with `top` in it. The settings of the terminal before are in the file `before`."""
    pane.type(f"stty -a > {os.environ['WP_SIDECAR_SOCKET']}.before; {COMMAND}")
    pane.shows("wp-sidecar 0.1.0")
    return pane


def is_whole(pane, tmp_path):
    """Whether the terminal is as it was: its settings, no second screen, and the cursor is seen."""
    pane.prompts()
    socket = os.environ["WP_SIDECAR_SOCKET"]
    pane.type(f"stty -a > {socket}.after; echo do'ne'")
    pane.shows("done")
    before, after = ((tmp_path / f"s.{name}").read_text() for name in ("before", "after"))
    screen, cursor = pane.do("display-message", "-p", "#{alternate_on} #{cursor_flag}").split()
    return before == after and (screen, cursor) == ("0", "1")


@pytest.mark.parametrize("key", ["q", "Escape", "C-c", "C-d"])
def test_a_key_ends_it_and_leaves_the_terminal_whole(top, tmp_path, key):
    top.do("send-keys", key)

    assert is_whole(top, tmp_path)
    assert "wp-sidecar 0.1.0" not in top.text


def test_other_keys_end_nothing(top, daemon):
    for key in ("Up", "x", "Space"):
        top.do("send-keys", key)
    daemon.answers["top"] = ANSWER | {"bans": 77}

    top.shows("77 banned")


def test_a_signal_leaves_the_terminal_whole(top, tmp_path):
    pid = top.do("display-message", "-p", "#{pane_pid}").strip()
    (child,) = subprocess.run(["pgrep", "-P", pid], check=True, capture_output=True, text=True).stdout.split()
    subprocess.run(["kill", child], check=True)

    assert is_whole(top, tmp_path)


def test_a_daemon_that_stops_is_a_sentence_on_a_whole_terminal(top, tmp_path, daemon):
    del daemon.answers["top"]

    top.shows("wp-sidecar: 10.0.0.1 is never banned")
    assert is_whole(top, tmp_path)


def test_it_shows_what_is_new_and_fits_another_size(top, daemon):
    rows = top.text.splitlines()
    assert any(LONGEST in row for row in rows)
    daemon.answers["top"] = ANSWER | {
        "now": ANSWER["now"] + 1,
        "failures": ANSWER["failures"] + 7,
        "bans": 4321,
    }
    top.shows("4,321 banned")

    top.do("resize-window", "-x", "132", "-y", "40")
    top.shows("a-container-with-a-name-of-forty-letters")
    assert any(LONGEST in row for row in top.text.splitlines())
    top.do("resize-window", "-x", "60", "-y", "12")
    wait_until(lambda: len(top.text.splitlines()) == 12 and "4,321 banned" in top.text, PATIENCE_S)


def test_without_a_terminal_it_prints_one_frame(daemon, wp_lines):
    daemon.answers["top"] = ANSWER
    code, lines, _ = wp_lines("top")

    assert (code, lines[0]) == (0, "wp-sidecar 0.1.0, up 1h 56m, healthy, 100,000 banned")
    assert len(daemon.asked) == 1


def test_without_a_keyboard_ctrl_c_alone_ends_it(pane, tmp_path):
    pane.type(f"stty -a > {tmp_path}/s.before; {COMMAND} < /dev/null")
    pane.shows("wp-sidecar 0.1.0")
    pane.do("send-keys", "C-c")

    assert is_whole(pane, tmp_path)


@pytest.mark.usefixtures("daemon")
def test_the_daemon_never_loads_it():
    program = "import sys, sidecar.app.main; assert not {'rich', 'sidecar.cli.top'} & sys.modules.keys()"

    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
