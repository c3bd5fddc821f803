import json
import subprocess
from urllib.parse import unquote

import pytest

from sidecar.alerts import tags
from sidecar.alerts.compose import described, digested, jail_started, problem
from sidecar.alerts.http_request import send
from sidecar.alerts.http_template import HttpTemplate, rendered
from sidecar.alerts.occurrences import Digest
from sidecar.alerts.sender import Delayed
from sidecar.config import action_file, curl_lines
from sidecar.config.shell_words import commands
from sidecar.core.actions import Action, AlertEvent
from tests.alerts.support import ban
from tests.support.paths import ROOT

SLACK_CONF = ROOT / "tests/config/tutorial/action.d/slack.conf"
HOSTILE = '<!channel> & <https://evil.example|x> `"\'; $(id) %41 \\ \n{"text": "\x00é☕'


def action_of(text, tmp_path, name="wordpress"):
    """The action of an action file with this text."""
    path = tmp_path / "x.conf"
    path.write_text(text)
    found = action_file.read(path, {"name": name})
    assert found.requests, found.notes
    return Action("http", "x", (), tuple(found.requests), source=str(path))


def by_curl(line, values):
    """What the line itself does: its tags replaced, and a shell."""
    for tag, value in values.items():
        line = line.replace(f"<{tag}>", value)
    subprocess.run(["sh", "-c", line], check=True, capture_output=True)


LINES = [
    """curl -X POST --data-urlencode 'payload={"text": "<ip> & <failures>", "icon_emoji": ":cop:"}' URL""",
    """curl -s -d 'payload={"text": "<ip> é ☕"}' URL""",
    """curl -sS -H 'Content-Type: application/json' -d "{\\"text\\": \\"<ip> by <name>\\", \\"n\\": <failures>}" URL >/dev/null 2>&1""",
    """curl --json '{"text":"<ip>"}' "URL?a=<failures>" """,
    """curl -d chat_id=42 -d "text=<ip> was banned by <name>" -d parse_mode=html URL""",
    """curl --data-urlencode "message=<ip> was banned: 100% & more" --data-urlencode "=a b" -d c=d URL""",
    """curl -G --data-urlencode "text=<ip> ü/ä" -d a=b URL""",
    """curl -X PUT -H "Title: Ban of <ip>" -H "Authorization: Bearer <name>" --data-binary "<ip> is out" URL""",
    """curl -u user:pass -A agent/1 -d 'a=<ip>' URL || true""",
    """curl -H 'Content-Type: text/plain' -d '<ip> is banned' URL""",
]


@pytest.mark.parametrize("line", LINES)
def test_what_is_posted_is_what_the_curl_line_would_have_posted(webhook, line):
    values = {"ip": "203.0.113.7", "failures": "3", "name": "wordpress"}
    line = line.replace("URL", webhook.url)
    by_curl(line, values)
    send(rendered(curl_lines.request(commands(line)[0].words), values, None, "x.conf"), 5.0)

    (curl, ours), (theirs, mine) = webhook.requests, webhook.bodies
    kept = ("Content-Type", "Title", "Authorization")
    assert mine == theirs
    # curl writes the hexadecimal digits of a query in small letters.
    assert (ours[0], unquote(ours[1])) == (curl[0], unquote(curl[1]))
    assert {name: ours[2].get(name) for name in kept} == {name: curl[2].get(name) for name in kept}


def test_a_multipart_form_has_the_same_fields(webhook):
    line = f"curl -F 'message=<ip> is banned' --form-string 'title=@x' {webhook.url}"
    by_curl(line, {"ip": "203.0.113.7"})
    send(rendered(curl_lines.request(commands(line)[0].words), {"ip": "203.0.113.7"}, None, "x"), 5.0)

    theirs, mine = (
        [part for part in body.split(b"\r\n") if b"--" not in part[:2]] for body in webhook.bodies
    )
    assert mine == theirs


def test_the_tutorials_file_posts_at_start_and_at_a_ban_what_its_lines_would_have(webhook, tmp_path):
    text = SLACK_CONF.read_text().replace("https://hooks.example.com/services/T0/B0/x", webhook.url)
    lines = dict(
        line.split(" = ", 1) for line in text.splitlines() if line.startswith("action") and " = " in line
    )
    values = {"ip": "203.0.0.7", "failures": "3", "name": "wordpress"}
    by_curl(lines["actionstart"], values)
    by_curl(lines["actionban"], values)
    sender = HttpTemplate("slack", {"wordpress": action_of(text, tmp_path)})
    sender.send(jail_started("wordpress", 5.0), 5.0)
    sender.send(described(ban(7)), 5.0)

    assert webhook.bodies[:2] == webhook.bodies[2:]
    assert webhook.got[3]["attachments"][0]["fallback"] == (
        "203.0.0.7 was banned after 3 attempts against wordpress"
    )


def test_a_message_without_a_line_has_the_files_style(tmp_path, webhook):
    text = SLACK_CONF.read_text().replace("https://hooks.example.com/services/T0/B0/x", webhook.url)
    sender = HttpTemplate("slack", {"wordpress": action_of(text, tmp_path)})
    digest = Digest()
    digest.add([ban(number) for number in range(500)])
    sender.send(digested(digest), 5.0)
    sender.send(problem("docker", "<!channel> is gone"), 5.0)

    storm, gone = (message["attachments"][0] for message in webhook.got)
    assert [message["icon_emoji"] for message in webhook.got] == [":cop:", ":cop:"]
    assert (storm["color"], storm["fallback"]) == ("warning", "500 bans enforced within 0s")
    assert storm["fields"][0]["title"] == "wordpress"
    assert storm["fields"][0]["value"].splitlines()[:2] == [
        "500 bans enforced within 0s",
        "Jails: wordpress 500",
    ]
    assert gone["fields"][0]["value"] == "Problem: docker\nWhat: &lt;!channel&gt; is gone"


@pytest.mark.parametrize(
    "line",
    [
        """curl -d 'payload={"text": "<ip>: <matches>"}' URL""",
        """curl --data-urlencode 'payload={"text": "<ip>: <matches>"}' URL""",
        """curl --json '{"text": "<ip>: <matches>", "n": <failures>}' URL""",
        """curl -H 'Content-Type: application/json' -d '{"content": "<ip>: <matches>"}' URL""",
        """curl -d 'text=<ip>: <matches>' -d 'to=me' URL""",
        """curl --data-urlencode 'text=<ip>: <matches>' -d 'to=me' URL""",
        """curl -F 'text=<ip>: <matches>' -F to=me URL""",
    ],
)
def test_an_attackers_line_changes_nothing_but_its_own_text(tmp_path, webhook, line):
    action = action_of(f"[Definition]\nactionban = {line.replace('URL', webhook.url)}\n", tmp_path)
    HttpTemplate("x", {"wordpress": action}).send(described(ban(7, lines=(HOSTILE,))), 5.0)
    (message,), (body,) = webhook.got, webhook.bodies

    if "form-data" in str(webhook.requests):
        return
    text = message.pop("text", None) or message.pop("content")
    assert text.startswith("203.0.0.7: ")
    assert set(message) <= {"n", "to"} and message.get("to", "me") == "me" and message.get("n", 3) == 3
    if "content" not in line and "payload" in line:
        assert "<!channel>" not in text and "<https" not in text
    assert b"\x00" not in body


def test_an_attackers_line_cannot_change_the_address_or_a_header(tmp_path, webhook):
    line = f"curl -H 'X-Line: <matches>' -d 'text=<ip> is out' '{webhook.url}?line=<matches>'"
    action = action_of(f"[Definition]\nactionban = {line}\n", tmp_path)
    HttpTemplate("x", {"wordpress": action}).send(described(ban(7, lines=("a\r\nX-Evil: 1", "&b=c#d"))), 5.0)
    ((_, path, headers),) = webhook.requests

    assert "X-Evil" not in headers
    assert path.endswith("?line=a%0D%0AX-Evil%3A%201%0A%26b%3Dc%23d")


def test_a_text_message_without_a_line_of_its_own_takes_the_place_of_the_text(tmp_path, webhook):
    line = f"curl -d chat_id=42 -d 'text=<ip> is banned' {webhook.url}"
    sender = HttpTemplate("x", {"wordpress": action_of(f"[Definition]\nactionban = {line}\n", tmp_path)})
    sender.send(problem("docker", "it is & gone"), 5.0)
    other = f'curl --json \'{{"content": "<ip> is banned", "username": "<name>"}}\' {webhook.url}'
    HttpTemplate("x", {"wordpress": action_of(f"[Definition]\nactionban = {other}\n", tmp_path)}).send(
        problem("docker", "it is & gone"), 5.0
    )
    plain = f"curl -H 'Content-Type: text/plain' -d '<ip> is banned' {webhook.url}"
    HttpTemplate("x", {"wordpress": action_of(f"[Definition]\nactionban = {plain}\n", tmp_path)}).send(
        problem("docker", "it is & gone"), 5.0
    )

    assert webhook.got[0] == {"chat_id": "42", "text": "Problem: docker\nWhat: it is & gone"}
    assert webhook.got[1] == {"content": "Problem: docker\nWhat: it is & gone", "username": "wordpress"}
    assert webhook.bodies[2] == b"Problem: docker\nWhat: it is & gone"


def test_each_request_of_an_event_is_accepted_once(tmp_path, webhook):
    lines = "\n  ".join(f"curl -d '{word} <ip>' {webhook.url}" for word in ("one", "two", "three"))
    sender = HttpTemplate("x", {"wordpress": action_of(f"[Definition]\nactionban = {lines}\n", tmp_path)})
    webhook.answers = [(200, {}, b""), (500, {}, b"")]
    notice = described(ban(7))
    with pytest.raises(Delayed):
        sender.send(notice, 5.0)
    sender.send(notice, 5.0)

    assert webhook.bodies == [f"{word} 203.0.0.7".encode() for word in ("one", "two", "two", "three")]


def test_a_file_may_have_a_line_for_problems(tmp_path, webhook):
    lines = f"actionban = curl -d '<ip> is out' {webhook.url}\nactionproblem = curl --json '{{\"text\": \"!! <text>\"}}' {webhook.url}\n"
    sender = HttpTemplate("x", {"wordpress": action_of(f"[Definition]\n{lines}", tmp_path)})
    sender.send(problem("docker", "<!here> is gone. " + "x" * 500), 5.0)

    assert webhook.got == [{"text": "!! Problem: docker\nWhat: &lt;!here&gt; is gone. " + "x" * 500}]


def test_a_dry_run_is_not_called_a_ban(tmp_path, webhook):
    text = f"[Definition]\nactionban = curl -d '<ip> was banned' {webhook.url}\n"
    sender = HttpTemplate("x", {"wordpress": action_of(text, tmp_path)})
    sender.send(described(ban(7, dry_run=True)), 5.0)

    assert webhook.bodies[0].startswith(b"Would have banned 203.0.0.7 after 3 failures\n")


def test_a_plain_body_is_no_form(tmp_path, webhook):
    """ntfy's way: curl says that it is a form, and it is a text."""
    text = f"[Definition]\nactionban = curl -d '<ip> is out: <matches>' {webhook.url}\n"
    sender = HttpTemplate("x", {"wordpress": action_of(text, tmp_path)})
    sender.send(described(ban(7, lines=("a & b",))._replace(address="2001:db8::/64")), 5.0)
    sender.send(problem("docker", "it is & gone"), 5.0)

    assert webhook.bodies == [b"2001:db8::/64 is out: a & b", b"Problem: docker\nWhat: it is & gone"]


def test_a_file_that_only_has_a_start_tells_of_problems_too(tmp_path, webhook):
    text = (
        f'[Definition]\nactionstart = curl --json \'{{"text": "<name> is up", "icon": "x"}}\' {webhook.url}\n'
    )
    HttpTemplate("x", {"wordpress": action_of(text, tmp_path)}).send(problem("docker", "gone"), 5.0)

    assert webhook.got == [{"text": "Problem: docker\nWhat: gone", "icon": "x"}]


def test_each_jail_has_its_own_text(tmp_path, webhook):
    text = f'[Definition]\nactionban = curl --json \'{{"text": "<ip> and <name>"}}\' {webhook.url}\n'
    actions = {name: action_of(text, tmp_path, name) for name in ("one", "two")}
    HttpTemplate("x", actions).send(described(ban(7, jail="two")), 5.0)

    assert json.loads(webhook.bodies[0]) == {"text": "203.0.0.7 and two"}
    assert actions["one"].requests_for(AlertEvent.BAN) != actions["two"].requests_for(AlertEvent.BAN)
    assert tags.values(described(ban(7)), "")["ip"] == "203.0.0.7"
