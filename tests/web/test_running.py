"""The page of a real daemon, with a real kernel's firewall: a form does what a command does, and the log says who asked."""

import json
import subprocess
import sys

import pytest

from tests.support.running import Running
from tests.support.waiting import wait_until

TOKEN = "a-token-of-this-test"
ANN, BOB = "203.0.113.7", "203.0.113.8"
# Logs in, sends the forms in turn, and prints the page after each.
BROWSER = """
import json, re, sys, requests
address, token, *forms = sys.argv[1:]
session = requests.Session()
session.headers["Origin"] = address
page = session.post(address + "/login", {"token": token}, timeout=60).text
for form in forms:
    path, fields = json.loads(form)
    fields["key"] = re.search(r'name="key" value="([^"]+)"', page)[1]
    page = session.post(address + path, fields, timeout=60).text
    notice = re.search(r'id="notice" role="status">(?:[0-9]{2}:){2}[0-9]{2}: (.*?)</p>', page)
    print(notice[1] if notice else page)
print(session.get(address, timeout=60).text)
"""


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    (tmp_path / "token").write_text(TOKEN + "\n")
    monkeypatch.setenv("WP_SIDECAR_WEB_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("WP_SIDECAR_EVENT_LOG", str(tmp_path / "events.log"))
    monkeypatch.setenv("WP_SIDECAR_EVENT_FORMAT", "json")
    running = Running(tmp_path)
    running.start()
    yield running
    running.close()


def browse(daemon, *forms, token=TOKEN):
    """Return what came of each form, and the page after the last."""
    done = subprocess.run(
        [*daemon.enter, sys.executable, "-c", BROWSER, "http://127.0.0.1:9734", token, *map(json.dumps, forms)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    return said[: len(forms)], "\n".join(said[len(forms) :])


def test_bans_are_made_lifted_and_prevented_as_by_the_command_line(daemon):
    said, page = browse(
        daemon,
        ("/ban", {"address": ANN, "jail": "wordpress", "for": "1d", "reason": "spam"}),
        ("/ban", {"address": BOB}),
        ("/ban", {"address": "127.0.0.1"}),
        ("/ban", {"address": "nobody"}),
        ("/unban", {"ban": f"{ANN} wordpress"}),
        ("/unban", {"ban": f"{ANN} wordpress"}),
        ("/unban", {"ban": f"{BOB} no-such-jail"}),
        ("/allow", {"allow": BOB, "allow-for": "8h", "comment": "the office"}),
        ("/ban", {"address": BOB}),
    )

    assert said[:2] == [f"{ANN} is banned in wordpress.", f"{BOB} is banned in manual."]
    assert "127.0.0.1 is never banned: it is" in said[2]
    assert "nobody" in said[3]
    assert said[4:6] == [f"{ANN} is unbanned in wordpress.", f"{ANN} was not banned."]
    assert said[6].startswith("no jail is named no-such-jail")
    assert said[7] == f"{BOB} is allowed; {BOB} is unbanned in manual."
    assert f"{BOB} is never banned" in said[8]
    assert "No address is banned." in page
    assert f"Take back {BOB}" in page
    assert daemon.ask("bans")["bans"] == []
    log = daemon.stderr()
    for line in (
        f"[wordpress] Ban {ANN} until",
        "(manual, web: spam)",
        f"[wordpress] Unban {ANN} (web)",
        f"web: 127.0.0.1 sent /unban: {ANN} is unbanned in wordpress",
    ):
        assert line in log
    assert TOKEN not in log
    wait_until(lambda: "the office" in (daemon.folder / "events.log").read_text(), timeout=60)
    events = [json.loads(line) for line in (daemon.folder / "events.log").read_text().splitlines()]
    assert ("ban", ANN, "web: spam") in {(each["event"], each["address"], each["detail"]) for each in events}
    assert ("unban", ANN, "web") in {(each["event"], each["address"], each["detail"]) for each in events}


def test_the_page_has_what_doctor_finds(daemon):
    pages = []

    def is_looked_at():
        pages.append(browse(daemon)[1])
        return "as of <time>" in pages[-1].partition('id="doctor"')[2].partition("</section>")[0]

    wait_until(is_looked_at, timeout=600, interval=1.0)
    assert "the daemon answers" in pages[-1]
    assert str(daemon.log) in pages[-1]


def test_another_token_holds_after_a_reload(daemon):
    browse(daemon)
    (daemon.folder / "token").write_text("another-token-of-this-test\n")
    assert daemon.ask("reload")["ok"]

    assert 'name="key"' in browse(daemon, token="another-token-of-this-test")[1]
    assert 'name="key"' not in browse(daemon)[1]
