import json
import logging
import math
import re
import socket
import threading
import time
from email.utils import formatdate

import pytest

from sidecar.alerts.compose import described, problem
from sidecar.alerts.notices import Field, Notice, NoticeKind, NoticeLevel
from sidecar.alerts.occurrences import Occurrence
from sidecar.alerts.sender import Delayed, MessageRefused, Rejected
from sidecar.alerts.slack import Slack, SlackFormat, destination, escape, payload
from sidecar.core.actions import Action
from sidecar.core.address import Address
from sidecar.core.events import Ban

STARTED = Notice(NoticeKind.START, NoticeLevel.GOOD, "started", (Field("Jails", "wordpress"),))


def hostile(evidence):
    """The last line, as it is sent."""
    ban = Ban(
        "wordpress",
        Address("203.0.113.7"),
        0.0,
        60.0,
        "failures",
        failures=3,
        origin_name="blog",
        evidence=(evidence,),
    )
    return payload(described(Occurrence.of_ban(ban, 0.0)))["attachments"][0]["fields"][-1]["value"]


def test_a_notice_in_slacks_json():
    assert payload(STARTED, host="web1") == {
        "text": "web1: started",
        "icon_emoji": ":cop:",
        "attachments": [
            {
                "fallback": "web1: started",
                "color": "good",
                "fields": [{"title": "Jails", "value": "wordpress", "short": True}],
                "mrkdwn_in": ["fields"],
            }
        ],
    }


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        (
            "<!channel> & <https://evil.example|click>",
            "`&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;`",
        ),
        ("a` *out of the code span* `b", "`a' *out of the code span* 'b`"),
        ("one\nUntil: for ever\r\n", r"`one\nUntil: for ever\r\n`"),
        ("![](http://evil.example/pixel)", "`![](http://evil.example/pixel)`"),
        (
            "@channel @HERE @everyone a@example.org",
            "`@\u200bchannel @\u200bHERE @\u200beveryone a@example.org`",
        ),
        ("\x1b]0;title\x07\u202e\udcff", r"`\x1b]0;title\x07\u202e\udcff`"),
        ("&" * 1_000, f"`{'&amp;' * 300}`"),
    ],
)
def test_text_of_attackers_stays_text(line, sent):
    assert hostile(line) == sent


def test_no_field_outgrows_slacks_limits():
    notice = Notice(
        NoticeKind.PROBLEM,
        NoticeLevel.DANGER,
        "<" * 9_999,
        (Field("`" * 9_999, "\x00" * 600, verbatim=True),),
    )
    sent = payload(notice)
    (field,) = sent["attachments"][0]["fields"]

    assert (len(sent["text"]), len(field["title"]), len(field["value"])) == (4 * 1_499 + 1, 600, 602)
    assert escape("<" * 9_999, 4) == "&lt;" * 3 + "…"
    assert escape("<" * 4, 4) == "&lt;" * 4


@pytest.mark.parametrize("layout", SlackFormat)
def test_a_long_sentence_arrives_whole(layout):
    words = [f"w{number:03}" for number in range(600)]
    sent = json.dumps(payload(problem("docker", " ".join(words)), layout=layout))

    # A word may stand on both sides of a cut between two fields.
    assert sum(word not in sent for word in words) <= 2
    assert len(re.findall("What", sent)) == 3


def test_slack_itself_is_sent_blocks():
    sent = payload(
        Notice(
            NoticeKind.START,
            NoticeLevel.GOOD,
            "started",
            (Field("Jails", "a"), Field("What", "b", short=False, verbatim=True)),
        ),
        layout=SlackFormat.BLOCKS,
    )

    assert sent["attachments"] == [
        {
            "color": "#2eb886",
            "blocks": [
                {"type": "section", "fields": [{"type": "mrkdwn", "text": "*Jails*\na"}]},
                {"type": "section", "text": {"type": "mrkdwn", "text": "*What*\n`b`"}},
            ],
        }
    ]
    assert payload(Notice(NoticeKind.TEST, NoticeLevel.GOOD, "x"), layout=SlackFormat.BLOCKS) == {
        "text": "x",
        "icon_emoji": ":cop:",
    }


def test_no_section_has_more_fields_than_slack_accepts():
    fields = tuple(Field(str(number), "x") for number in range(23))
    sent = payload(Notice(NoticeKind.START, NoticeLevel.GOOD, "a", fields), layout=SlackFormat.BLOCKS)

    assert [len(block["fields"]) for block in sent["attachments"][0]["blocks"]] == [10, 10, 3]


@pytest.mark.parametrize(
    ("url", "sent_to"),
    [
        ("https://discord.com/api/webhooks/1/a", "https://discord.com/api/webhooks/1/a/slack"),
        ("https://discord.com/api/webhooks/1/a/slack", "https://discord.com/api/webhooks/1/a/slack"),
        (
            "https://discord.com/api/webhooks/1/a?wait=true",
            "https://discord.com/api/webhooks/1/a/slack?wait=true",
        ),
        ("https://chat.example/hooks/a", "https://chat.example/hooks/a"),
    ],
)
def test_discord_has_slacks_format_beside_its_own(url, sent_to):
    assert destination(url) == sent_to


def test_options_of_the_action_are_sent(webhook):
    options = (("channel", "#ops"), ("icon_emoji", ":fire:"), ("username", "f2b"), ("format", "text"))
    action = Action("slack", "slack", options, source="jails.conf")
    Slack(webhook.url, "", action).send(STARTED, within_s=1.0)

    assert webhook.got == [
        {"text": "started\n*Jails:* wordpress", "icon_emoji": ":fire:", "channel": "#ops", "username": "f2b"}
    ]


def test_the_time_of_a_notice_is_shown():
    (attachment,) = payload(Notice(NoticeKind.START, NoticeLevel.GOOD, "a", at=5.5))["attachments"]

    assert attachment["ts"] == 5
    sent = payload(Notice(NoticeKind.START, NoticeLevel.GOOD, "a", at=5.5), layout=SlackFormat.BLOCKS)
    assert sent["attachments"][0]["blocks"] == [
        {
            "type": "context",
            "elements": [
                {
                    "type": "mrkdwn",
                    "text": "<!date^5^{date_short_pretty} {time_secs}|1970-01-01 00:00:05 UTC>",
                }
            ],
        }
    ]


def test_a_message_is_one_json_post(webhook):
    Slack(webhook.url).send(STARTED, within_s=math.inf)
    ((command, path, headers),) = webhook.requests

    assert webhook.got == [payload(STARTED)]
    assert (command, path) == ("POST", "/services/T0/B0/secret")
    assert (headers["Content-Type"], headers["User-Agent"]) == ("application/json", "wp-sidecar")


GONE = "does the webhook of SLACK_WEBHOOK_URL still exist?"
MOVED = "put the final address into SLACK_WEBHOOK_URL."


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        ((404, {}, b"no_service"), MessageRefused, f"Slack answered 404 (no_service): {GONE}"),
        ((400, {}, b"user_not_found"), MessageRefused, f"Slack answered 400 (user_not_found): {GONE}"),
        ((400, {}, b"invalid_payload\n"), Rejected, "Slack answered 400 (invalid_payload) to a message."),
        ((403, {}, b"<p>/services/T0/B0/secret</p>"), MessageRefused, f"Slack answered 403: {GONE}"),
        ((302, {"Location": "/elsewhere"}, b""), MessageRefused, f"Slack answered 302, a redirect: {MOVED}"),
        ((500, {}, b"rollup_error"), Delayed, "Slack answered 500."),
        ((408, {}, b""), Delayed, "Slack answered 408."),
        ((429, {"Retry-After": "7"}, b""), Delayed, "Slack answered 429."),
    ],
)
def test_what_slack_refuses_becomes_one_sentence(webhook, answer, kind, sentence):
    webhook.answers = [answer]
    with pytest.raises(kind) as caught:
        Slack(webhook.url).send(STARTED, within_s=math.inf)

    assert str(caught.value) == sentence
    assert len(webhook.got) == 1


@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("86400", 3600.0),
        ("9" * 5_000, 0.0),
        ("1" * 400, 3600.0),
        ("1.5", 1.5),
        ("soon", 0.0),
        ("-5", 0.0),
    ],
)
def test_how_long_slack_wants_us_to_wait(webhook, header, after):
    webhook.answers = [(429, {"Retry-After": header}, b"")]
    with pytest.raises(Delayed) as caught:
        Slack(webhook.url).send(STARTED, within_s=math.inf)

    assert caught.value.after_s == after


def test_slack_may_name_the_time(webhook):
    webhook.answers = [(503, {"Retry-After": formatdate(time.time() + 100, usegmt=True)}, b"")]
    with pytest.raises(Delayed) as caught:
        Slack(webhook.url).send(STARTED, within_s=math.inf)

    assert 90 < caught.value.after_s <= 100


def test_an_answer_that_does_not_come_is_not_waited_for(webhook):
    webhook.answers = [None]
    with pytest.raises(Delayed, match=r"^Slack accepted the connection, but did not answer in time\.$"):
        Slack(webhook.url).send(STARTED, within_s=0.1)


def test_a_server_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/services/T0/B0/secret"
    with pytest.raises(Delayed, match=r"^Slack cannot be reached: Connection refused\.$"):
        Slack(url).send(STARTED, within_s=math.inf)


def test_a_connection_cut_off():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/services/T0/B0/secret"
        cut = threading.Thread(target=lambda: server.accept()[0].close())  # noqa: PLW0108 - it is to wait there
        cut.start()
        with pytest.raises(Delayed, match=r"^Slack cannot be reached: "):
            Slack(url).send(STARTED, within_s=math.inf)
        cut.join()


@pytest.mark.parametrize(
    "url",
    [
        "hooks/secret",
        "http://[secret/",
        "http://a..secret/",
        "http://x:secret/",
        "ftp://h/secret",
        "http://*.secret/",
    ],
)
def test_an_invalid_url_is_never_quoted(url):
    with pytest.raises((Rejected, MessageRefused, Delayed)) as caught:
        Slack(url).send(STARTED, within_s=1.0)

    assert "secret" not in str(caught.value)
    assert "secret" not in repr(Slack(url))


def test_the_url_is_in_no_log_at_any_level(webhook, caplog):
    caplog.set_level(logging.DEBUG)
    webhook.answers = [(200, {}, b"ok"), (404, {}, b"no_team"), (500, {}, b"")]
    slack = Slack(webhook.url)
    slack.send(STARTED, within_s=1.0)
    for _ in range(2):
        with pytest.raises((Rejected, MessageRefused, Delayed)):
            slack.send(STARTED, within_s=1.0)

    assert "secret" not in caplog.text


def test_the_json_is_ascii():
    text = json.dumps(payload(Notice(NoticeKind.START, NoticeLevel.GOOD, "ä☕\udcff")))

    assert text.isascii() and json.loads(text)["text"] == "ä☕\\udcff"
