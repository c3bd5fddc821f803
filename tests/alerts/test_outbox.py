import logging
import socket
import threading
import time
from dataclasses import replace

import pytest

from sidecar.alerts.compose import problem
from sidecar.alerts.notices import Notice, NoticeKind, NoticeLevel
from sidecar.alerts.outbox import Outbox, OutboxTiming
from sidecar.alerts.sender import Delayed, Rejected
from sidecar.alerts.slack import Slack
from sidecar.core.address import Address
from sidecar.core.events import Ban
from tests.support.waiting import wait_until

GONE = "does the webhook of SLACK_WEBHOOK_URL still exist?"
STARTED = Notice(NoticeKind.START, NoticeLevel.GOOD, "started")
STOPPED = Notice(NoticeKind.STOP, NoticeLevel.GOOD, "stopped")
QUICK = OutboxTiming(pace_s=0, first_retry_s=0.01, closing_retry_s=0.01)
BANS = [
    Ban("wordpress", Address(f"198.51.100.{n % 250}"), 0.0, 60.0, "failures", failures=3)
    for n in range(10_000)
]


class Kept:
    """An AlertListener that keeps what is reported."""

    def __init__(self):
        self.results: list[str] = []
        self.dropped = 0

    def alert_sent(self, sender):
        self.results.append(f"{sender} sent")

    def alert_rejected(self, sender):
        self.results.append(f"{sender} rejected")

    def alert_failed(self, sender):
        self.results.append(f"{sender} failed")

    def alerts_dropped(self, sender, count):
        self.dropped += count


class Scripted:
    """A Sender that raises what it is given, in order, then accepts everything. It keeps when it was called."""

    name = "scripted"

    def __init__(self, *raised):
        self.raised, self.asked, self.got = list(raised), [], []
        self.took = threading.Semaphore(0)

    def send(self, notice, within_s):
        self.asked.append(time.monotonic())
        if self.raised:
            raise self.raised.pop(0)
        self.got.append(notice.text)
        self.took.release()

    @property
    def pauses(self):
        return [after - before for before, after in zip(self.asked, self.asked[1:], strict=False)]


class Running:
    """An outbox in its thread."""

    def __init__(self, sender, **timing):
        self.kept = Kept()
        self.outbox = Outbox(sender, self.kept, timing=replace(QUICK, **timing))
        self._thread = threading.Thread(target=self.outbox.run)

    def __enter__(self):
        self._thread.start()
        return self.outbox

    def __exit__(self, *_):
        self.outbox.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_from_start_to_stop(webhook):
    running = Running(Slack(webhook.url))
    with running as outbox:
        outbox.publish(STARTED)
        outbox.publish_bans(BANS[:1])
        webhook.wait(2)
        outbox.publish(STOPPED)

    assert webhook.wait(3) == ["started", "Banned 198.51.100.0 after 3 failures", "stopped"]
    assert (running.kept.results, running.kept.dropped) == (["slack sent"] * 3, 0)


def test_ten_thousand_bans_are_two_messages(webhook):
    with Running(Slack(webhook.url)) as outbox:
        outbox.publish_bans(BANS)
        texts = webhook.wait(2)

    assert texts == ["Banned 198.51.100.0 after 3 failures", "9,999 bans within 0s"]
    assert len(webhook.got) == 2


def test_publishing_never_waits_even_when_nobody_answers(webhook):
    webhook.answers = [None]
    with Running(Slack(webhook.url)) as outbox:
        outbox.publish(STARTED)
        webhook.wait(1)
        start = time.perf_counter()
        for _ in range(100):
            outbox.publish_bans(BANS[:100])
            outbox.publish(STARTED)
        took = time.perf_counter() - start
        webhook.hang_up()

    assert took < 1.0  # 10,000 bans in 100 turns; in fact some 10 ms


def test_slack_says_when_to_try_again(webhook):
    webhook.answers = [(429, {"Retry-After": "1"}, b"")]
    start = time.monotonic()
    with Running(Slack(webhook.url)) as outbox:
        outbox.publish(STARTED)
        texts = webhook.wait(2)

    assert texts == ["started", "started"]
    assert time.monotonic() - start >= 1


def test_a_delayed_message_is_tried_again_with_growing_pauses():
    sender = Scripted(*[Delayed("Slack answered 500.") for _ in range(5)])
    running = Running(sender)
    with running as outbox:
        outbox.publish(STARTED)
        assert sender.took.acquire(timeout=10)

    assert sender.got == ["started"]
    assert running.kept.results == ["scripted sent"]
    assert all(pause >= 0.01 * 2**number for number, pause in enumerate(sender.pauses))


def test_a_rejected_message_is_not_tried_again(webhook, caplog):
    webhook.answers = [(404, {}, b"no_service")] * 2
    running = Running(Slack(webhook.url))
    with running as outbox:
        outbox.publish(STARTED)
        outbox.publish(problem("docker", "no daemon"))
        outbox.publish(STOPPED)
        webhook.wait(3)

    assert running.kept.results == ["slack rejected", "slack rejected", "slack sent"]
    assert caplog.messages == [
        f"alerts to slack: Slack answered 404 (no_service): {GONE} The message is lost."
    ]


def test_a_message_that_fails_too_often_is_given_up():
    sender = Scripted(*[Delayed("no") for _ in range(20)])
    running = Running(sender, first_retry_s=0)
    with running as outbox:
        outbox.publish(STARTED)
        outbox.publish(STOPPED)
        assert sender.took.acquire(timeout=10)

    assert sender.got == ["stopped"]
    assert running.kept.results == ["scripted failed", "scripted sent"]


def test_bans_are_counted_while_nothing_gets_through():
    sender = Scripted(Delayed("no", after_s=0.2))
    running = Running(sender)
    with running as outbox:
        outbox.publish(STARTED)
        for ban in BANS:
            outbox.publish_bans([ban])
        assert sender.took.acquire(timeout=10)

    assert sender.got[0] == "started"
    assert (
        sum(
            1 if text.startswith("Banned") else int(text.split()[0].replace(",", ""))
            for text in sender.got[1:]
        )
        == 10_000
    )
    assert len(sender.got) <= 4


def test_messages_keep_the_pace():
    sender = Scripted()
    with Running(sender, pace_s=0.1) as outbox:
        for name in "abc":
            outbox.publish(problem(name, "gone"))
        assert all(sender.took.acquire(timeout=10) for _ in range(3))

    assert all(pause >= 0.1 for pause in sender.pauses)


def test_the_last_messages_are_delivered_whatever_the_pace():
    sender = Scripted()
    with Running(sender, pace_s=60) as outbox:
        outbox.publish(STARTED)
        assert sender.took.acquire(timeout=10)
        outbox.publish_bans(BANS)
        outbox.publish(STOPPED)

    assert sender.got == ["started", "stopped", "10,000 bans within 0s"]


def test_a_closing_outbox_gives_up_within_its_time(caplog):
    running = Running(
        Slack(f"http://127.0.0.1:{closed_port()}/services/secret"),
        first_retry_s=60,
        closing_retry_s=60,
        closing_s=0.5,
    )
    start = time.monotonic()
    with running as outbox:
        outbox.publish(STARTED)
        outbox.publish(STOPPED)

    assert time.monotonic() - start < 5
    assert (running.kept.results, running.kept.dropped) == (["slack failed"], 1)
    assert caplog.messages == [
        "alerts to slack: Slack cannot be reached: Connection refused. It is tried again.",
        "alerts to slack: stopped with 1 messages not sent",
    ]


def test_closing_during_a_long_pause_tries_once_more():
    sender = Scripted(Delayed("no"))
    with Running(sender, first_retry_s=60.0) as outbox:
        outbox.publish(STARTED)
        wait_until(lambda: sender.asked)

    assert sender.got == ["started"]


def test_closing_does_not_try_before_slack_allows_it(webhook):
    webhook.answers = [(429, {"Retry-After": "600"}, b"")]
    running = Running(Slack(webhook.url))
    with running as outbox:
        outbox.publish(STARTED)
        webhook.wait(1)
        outbox.publish(STOPPED)

    assert webhook.wait(1) == ["started"]
    assert (running.kept.results, running.kept.dropped) == (["slack failed"], 1)


def test_an_outbox_that_is_closed_before_it_runs_ends_at_once():
    sender, kept = Scripted(), Kept()
    outbox = Outbox(sender, kept)
    outbox.close()
    outbox.run()

    assert (sender.got, kept.results, kept.dropped) == ([], [], 0)


def test_too_many_notices_drop_the_oldest_and_count():
    kept, sender = Kept(), Scripted()
    outbox = Outbox(sender, kept, timing=QUICK)
    for number in range(101):
        outbox.publish(problem(f"{number}", "gone"))
    outbox.close()
    outbox.run()

    assert (kept.dropped, len(sender.got), sender.got[0]) == (1, 100, "Problem: 1")


def test_an_error_in_a_sender_costs_one_message():
    sender, kept = Scripted(ZeroDivisionError()), Kept()
    outbox = Outbox(sender, kept, timing=QUICK)
    outbox.publish(STARTED)
    outbox.publish(STOPPED)
    outbox.close()
    with pytest.raises(ZeroDivisionError):
        outbox.run()
    outbox.run()  # as the supervisor does

    assert (sender.got, kept.results) == (["stopped"], ["scripted failed", "scripted sent"])


def test_an_error_is_logged_once_until_a_message_gets_through(caplog):
    caplog.set_level(logging.WARNING)
    outbox = Outbox(Scripted(*[Rejected("no.")] * 3), Kept(), timing=QUICK)
    for name in "abcd":
        outbox.publish(problem(name, "gone"))
    outbox.close()
    outbox.run()

    assert caplog.messages == ["alerts to scripted: no. The message is lost."]
