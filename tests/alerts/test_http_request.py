import pytest

from sidecar.alerts.http_request import WebRequest, send
from sidecar.alerts.sender import Delayed, MessageRefused, Rejected


def request(url, **more):
    return WebRequest(url, b"payload=1", "The service", "action.d/x.conf", **more)


def test_a_request_is_sent_as_it_is(webhook):
    send(request(webhook.url, method="PUT", headers={"X-Token": "a"}), 1.0)
    ((command, _, headers),) = webhook.requests

    assert (command, headers["X-Token"], webhook.bodies) == ("PUT", "a", [b"payload=1"])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, Delayed) for status in (408, 425, 429, 500, 502, 503, 504)),
        *((status, Rejected) for status in (400, 413, 415, 422)),
        *((status, MessageRefused) for status in (301, 307, 401, 403, 404, 405, 410)),
    ],
)
def test_each_status_says_what_becomes_of_the_message(webhook, status, kind):
    webhook.answers = [(status, {}, b"")]
    with pytest.raises(kind):
        send(request(webhook.url), 1.0)


def test_a_name_that_does_not_exist_may_exist_later():
    with pytest.raises(Delayed, match="cannot be reached"):
        send(request("http://nowhere.invalid/secret"), 1.0)
