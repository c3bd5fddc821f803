"""Against the real Apprise, whose `json://` posts to a local webhook."""

import io
import logging

import pytest

from sidecar.alerts.apprise import AppriseSender
from sidecar.alerts.compose import described, problem, trial
from sidecar.alerts.sender import Delayed, MessageRefused, Rejected
from sidecar.core.actions import Action
from tests.alerts.support import ban

# Some of what Apprise loads warns of its own future.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ImportWarning"),
]


def sender(*urls, **options):
    given = {"url": " ".join(urls)} | options
    return AppriseSender(Action("apprise", "apprise", tuple(given.items()), source="jails.conf"), "web1")


@pytest.fixture
def url(webhook):
    return webhook.url.replace("http://", "json://")


def test_a_notice_arrives(webhook, url):
    sender(url).send(described(ban(7)), 5.0)
    (message,) = webhook.got

    assert message["title"] == "web1: Banned 203.0.0.7 after 3 failures"
    assert message["type"] == "warning"
    assert message["message"].splitlines()[:2] == ["Address: 203.0.0.7", "Failures: 3"]


def test_a_message_without_fields_has_its_text(webhook, url):
    sender(url).send(trial(0.0), 5.0)

    assert "alerts arrive here" in webhook.got[0]["message"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(500, Delayed), (429, Delayed), (404, MessageRefused), (403, MessageRefused), (400, Rejected)],
)
def test_each_status_says_what_becomes_of_the_message(webhook, url, status, kind):
    webhook.answers = [(status, {}, b"")]
    with pytest.raises(kind, match=f"status {status}") as caught:
        sender(url).send(problem("docker", "gone"), 5.0)

    assert "secret" not in str(caught.value)


def test_a_service_that_has_the_message_is_not_sent_it_again(webhook, url):
    webhook.answers = [(200, {}, b""), (500, {}, b"")]
    both, notice = sender(f"{url}/one", f"{url}/two"), problem("docker", "gone")
    with pytest.raises(Delayed):
        both.send(notice, 5.0)
    both.send(notice, 5.0)
    both.send(trial(0.0), 5.0)

    assert [path.rpartition("/")[2] for _, path, _ in webhook.requests] == ["one", "two", "two", "one", "two"]


def test_urls_may_be_separated_by_commas(webhook, url):
    sender(f"{url}/one, {url}/two,").send(trial(0.0), 5.0)

    assert [path.rpartition("/")[2] for _, path, _ in webhook.requests] == ["one", "two"]


def test_a_file_may_name_the_services(webhook, url, tmp_path):
    (tmp_path / "apprise.conf").write_text(f"ops={url}\n")
    sender("", config=str(tmp_path / "apprise.conf")).send(trial(0.0), 5.0)

    assert len(webhook.got) == 1


def test_a_url_that_apprise_does_not_know_is_named_without_its_secrets():
    with pytest.raises(
        MessageRefused, match=r"pigeon:// is no URL of Apprise: correct jails\.conf"
    ) as caught:
        sender("pigeon://secret").send(trial(0.0), 5.0)
    assert "secret" not in str(caught.value)

    with pytest.raises(MessageRefused, match="names no service"):
        sender("").send(trial(0.0), 5.0)


def test_no_url_is_logged(webhook, url):
    text = io.StringIO()
    ours = logging.StreamHandler(text)
    logging.getLogger().addHandler(ours)
    logging.getLogger("apprise").setLevel(logging.DEBUG)
    webhook.answers = [(500, {}, b"")]
    with pytest.raises(Delayed):
        sender(url).send(trial(0.0), 5.0)
    logging.getLogger().removeHandler(ours)

    assert "secret" not in text.getvalue()
