"""The tutorial's whole configuration, pasted, in a real daemon: what it posts is what its own curl lines would post."""

import json
import shutil
import signal
from datetime import datetime

import pytest

from tests.support.fail2ban import running_fail2ban
from tests.support.paths import ROOT
from tests.support.running import Running
from tests.support.waiting import wait_until

TUTORIAL = ROOT / "tests/config/tutorial"
ANN, BOB = "203.0.113.7", "203.0.113.8"
PORT = 9_999


class Tutorial(Running):
    """A daemon with the tutorial's files. Only the URL and the log are others."""

    def configure(self, more=""):
        for path in TUTORIAL.rglob("*"):
            if path.is_file():
                copy = self.folder / path.relative_to(TUTORIAL)
                copy.parent.mkdir(exist_ok=True)
                text = path.read_text().replace("https://hooks.example.com", f"http://127.0.0.1:{PORT}")
                copy.write_text(text.replace("/var/log/auth.log", str(self.log)))
        # Clients are lines in a file, and send no packets.
        with (self.folder / "jail.local").open("a") as file:
            file.write("witness = off\n")

    @property
    def environ(self):
        filters = str(self.folder / "filter.d")
        return super().environ | {
            "WP_SIDECAR_JAILS": str(self.folder / "jail.local"),
            "WP_SIDECAR_FILTERS": filters,
            "DOCKER_HOST": f"unix://{self.folder}/none.sock",
        }

    def curl(self, event, **values):
        """Run the line of the action file for this event, as a shell would."""
        lines = (self.folder / "action.d/slack.conf").read_text().splitlines()
        (line,) = (line.partition(" = ")[2] for line in lines if line.startswith(f"action{event} = "))
        for tag, value in values.items():
            line = line.replace(f"<{tag}>", value)
        self.inside("sh", "-c", line)


@pytest.fixture
def daemon(tmp_path):
    running = Tutorial(tmp_path)
    yield running
    running.close()


def test_start_and_bans_are_posted_as_the_curl_lines_would_and_restored_bans_are_not(daemon):
    with daemon.recorded(PORT) as posts:
        daemon.start(ready=False)
        wait_until(lambda: len(posts()) >= 1)
        daemon.wait_until_read(daemon.log)
        daemon.fail(ANN, 3)
        wait_until(lambda: any(ANN in post["body"] for post in posts()))
        # The service has confirmed both, and that is written down.
        wait_until(lambda: daemon.metric('wp_sidecar_alerts_total{result="sent",sender="slack"}') >= 2)
        daemon.end(signal.SIGKILL)
        daemon.start(ready=False)
        wait_until(lambda: daemon.banned() == [ANN])
        daemon.fail(BOB, 3)
        wait_until(lambda: any(BOB in post["body"] for post in posts()))
        ours = [post for post in posts() if "Problem" not in post["body"]]
        daemon.curl("start", name="wordpress")
        daemon.curl("ban", name="wordpress", ip=ANN, failures="3")
        daemon.curl("start", name="wordpress")
        daemon.curl("ban", name="wordpress", ip=BOB, failures="3")
        theirs = posts()[-4:]

    assert ours == theirs
    assert json.loads(json.dumps(ours[0]))["path"] == "/services/T0/B0/x"


def test_fail2ban_itself_posts_the_same(daemon):
    """The distribution's fail2ban with the same files, in the same namespace; only what it drops packets by is nothing."""
    conf = daemon.folder / "fail2ban"
    shutil.copytree("/etc/fail2ban", conf, ignore=shutil.ignore_patterns("jail.d", "jail.local"))
    for name in ("jail.local", "action.d/slack.conf", "filter.d/wordpress.conf"):
        shutil.copy(daemon.folder / name, conf / name)
    text = (conf / "jail.local").read_text().replace("witness = off", "backend = polling")
    (conf / "jail.local").write_text(text.replace(str(daemon.log), str(daemon.folder / "syslog")))
    (conf / "jail.d").mkdir()
    (conf / "jail.d/nothing.local").write_text("[DEFAULT]\nbanaction = nothing\n[sshd]\nenabled = false\n")
    (conf / "fail2ban.local").write_text("[Definition]\ndbfile = None\n")
    (conf / "action.d/nothing.conf").write_text("[Definition]\nactionban =\n")
    (daemon.folder / "syslog").touch()
    with daemon.recorded(PORT) as posts:
        with running_fail2ban(daemon.enter, conf) as log:
            wait_until(posts)
            with (daemon.folder / "syslog").open("a") as file:
                stamp = datetime.now().strftime("%b %d %H:%M:%S")  # noqa: DTZ005 - as syslog has it
                file.write(
                    f"{stamp} web wordpress(blog)[7]: Authentication failure for admin from {ANN}\n" * 3
                )
            wait_until(lambda: len(posts()) == 2, timeout=60, message=log.read_text)
        theirs = posts()
        daemon.start(ready=False)
        daemon.wait_until_read(daemon.log)
        daemon.fail(ANN, 3)
        wait_until(lambda: sum(ANN in post["body"] for post in posts()) == 2)
        ours = [post for post in posts()[len(theirs) :] if "Problem" not in post["body"]]

    assert ours == theirs
