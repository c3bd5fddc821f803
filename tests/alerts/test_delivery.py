import math
from contextlib import closing

import pytest

from sidecar.alerts.compose import problem, started
from sidecar.alerts.delivery import Delivery, OutboxTiming
from sidecar.alerts.journal import Journal
from sidecar.alerts.sender import Delayed, MessageRefused, Rejected
from sidecar.core.actions import AlertEvent
from sidecar.runtime.problems import Problems
from tests.alerts.support import Clock, Kept, Scripted, ban, channel

STARTED = started("1", ["wordpress"], 0)


class Running:
    """A delivery that is stepped by hand, on a clock that goes as far as each step asks."""

    def __init__(self, sender, folder=None, timing=None):
        self.clock, self.kept, self.problems = Clock(), Kept(), Problems()
        self.journal = Journal(folder)
        self.journal.load()
        self.began = self.clock.now
        self.journal.begin("scripted")
        self.delivery = Delivery(
            channel(sender), self.journal, listener=self.kept,
            problem=self.problems.problem("alerts to scripted", critical=False),
            timing=timing or OutboxTiming(), clock=self.clock,
        )  # fmt: skip

    def publish(self, *events):
        first = self.journal.append(events)
        self.delivery.add(list(enumerate(events, first)))

    def until_idle(self, limit_s=math.inf):
        """Step until nothing is due within so many seconds; return the seconds that went by."""
        start = self.clock.now
        while (wait := self.delivery.step()) is not None and self.clock.now + wait - start <= limit_s:
            if wait == math.inf:
                break
            self.clock.now += wait
        return self.clock.now - start


def test_messages_keep_the_pace_and_the_order():
    sender = Scripted()
    running = Running(sender)
    running.publish(STARTED, ban(1), problem("docker", "gone"))

    assert running.until_idle() == pytest.approx(3.0)
    assert sender.texts == [
        "wp-sidecar 1 has started",
        "Banned 203.0.0.1 after 3 failures",
        "Problem: docker",
    ]
    assert running.kept.results == ["scripted sent"] * 3


def test_a_delayed_message_is_tried_again_with_growing_pauses_and_never_given_up():
    sender = Scripted(*[Delayed("Slack answered 500.") for _ in range(200)])
    running = Running(sender)
    running.publish(STARTED)

    # 1, 2, 4 … 32 s, then a minute each.
    assert running.until_idle() == pytest.approx(63 + 194 * 60 + 1)
    assert (sender.tries, sender.texts) == (201, ["wp-sidecar 1 has started"])


def test_a_service_says_when_to_try_again():
    running = Running(Scripted(Delayed("Slack answered 429.", after_s=600)))
    running.publish(STARTED)

    assert running.until_idle() == pytest.approx(601)


def test_a_bypass_is_a_message_of_its_own_and_does_not_wait_for_room():
    sender = Scripted()
    running = Running(sender)
    running.publish(*(ban(number) for number in range(20)))
    running.until_idle()
    bypass = ban(7)._replace(event=AlertEvent.BYPASS, reason="a CDN is in front")
    running.publish(ban(30), bypass)
    took = running.until_idle(limit_s=5)

    assert took <= 5
    assert sender.texts[-2:] == ["Banned 203.0.0.30 after 3 failures", "Problem: the ban of 203.0.0.7"]


def test_bans_are_counted_while_nothing_gets_through():
    sender = Scripted(*[Delayed("no")] * 10)
    running = Running(sender)
    running.publish(STARTED)
    for number in range(1_000):
        running.publish(ban(number, dry_run=number % 4 == 0))
        running.until_idle(limit_s=0.1)
    running.until_idle()

    assert sender.texts == [
        "wp-sidecar 1 has started",
        "Would have banned 203.0.0.0 after 3 failures",
        "750 bans enforced, 249 bans observed (dry run) within 0s",
    ]


def test_a_delay_of_five_minutes_is_a_problem_until_a_message_gets_through():
    running = Running(Scripted(*[Delayed("Slack answered 500.")] * 12))
    running.publish(STARTED)
    running.until_idle(limit_s=290)
    assert running.problems.sentences == ()
    running.until_idle(limit_s=100)

    assert running.problems.sentences == (
        "alerts to scripted: Slack answered 500. It is tried again, and nothing is lost meanwhile.",
    )
    running.until_idle()
    assert running.problems.sentences == ()


def test_a_rejected_message_is_lost_and_reported_and_the_others_go_on():
    sender = Scripted(Rejected("Slack answered 400."))
    running = Running(sender)
    running.publish(STARTED)
    running.until_idle(limit_s=0.5)
    assert running.problems.sentences == ("alerts to scripted: Slack answered 400. That message is lost.",)
    running.publish(ban(1))
    running.until_idle()

    assert (sender.texts, running.problems.sentences) == (["Banned 203.0.0.1 after 3 failures"], ())
    assert running.kept.results == ["scripted rejected", "scripted sent"]


def test_a_service_that_refuses_everything_is_not_asked_again_until_a_reload():
    sender = Scripted(MessageRefused("Slack answered 404."))
    running = Running(sender)
    running.publish(STARTED, ban(1))
    running.until_idle()
    running.clock.now += 1_000_000
    running.until_idle()
    assert (sender.tries, running.kept.results) == (1, ["scripted rejected"])
    assert running.problems.sentences == (
        "alerts to scripted: Slack answered 404. Nothing is sent there until the configuration is reloaded.",
    )

    running.delivery.reconfigure(channel(sender))
    running.until_idle()
    assert sender.texts == ["wp-sidecar 1 has started", "Banned 203.0.0.1 after 3 failures"]
    assert running.problems.sentences == ()


def test_that_a_channel_does_not_work_is_not_sent_there():
    sender = Scripted()
    running = Running(sender)
    running.publish(problem("alerts to scripted", "no"), problem("alerts to mail", "no"))
    running.until_idle()

    assert sender.texts == ["Problem: alerts to mail"]


def test_a_confirmed_message_is_known_to_the_next_run(tmp_path):
    running = Running(Scripted(None, Delayed("no")), tmp_path)
    running.publish(STARTED, ban(1))
    running.until_idle(limit_s=1.5)
    running.journal.close()

    with closing(Journal(tmp_path)) as journal:
        left = [number for number, _ in journal.load() if number > journal.confirmed("scripted")]
    assert left == [2]


def test_closing_sends_what_is_left_whatever_the_pace_and_leaves_the_rest_to_the_next_run(caplog):
    sender = Scripted(None, None, Delayed("no", after_s=600))
    running = Running(sender, timing=OutboxTiming(pace_s=60))
    running.publish(STARTED, problem("docker", "gone"), ban(1))
    running.delivery.close()
    running.delivery.run()

    assert sender.texts == ["wp-sidecar 1 has started", "Problem: docker"]
    assert caplog.messages[-1] == (
        "alerts to scripted: stopped with 1 messages not sent; the next start sends them"
    )


def test_closing_during_a_long_pause_tries_once_more():
    sender = Scripted(Delayed("no"))
    running = Running(sender, timing=OutboxTiming(first_retry_s=60))
    running.publish(STARTED)
    running.until_idle(limit_s=2)
    running.clock.now += 2
    running.delivery.close()
    running.delivery.run()

    assert sender.texts == ["wp-sidecar 1 has started"]


def test_closing_with_nothing_left_or_after_a_refusal_ends_at_once():
    for sender in (Scripted(), Scripted(MessageRefused("no."))):
        running = Running(sender)
        running.publish(*([STARTED] if sender.raised else []))
        running.until_idle()
        running.delivery.close()
        running.delivery.run()

        assert sender.tries <= 1


def test_an_error_in_a_sender_costs_one_message():
    sender = Scripted(ZeroDivisionError())
    running = Running(sender)
    running.publish(STARTED, ban(1))
    with pytest.raises(ZeroDivisionError):
        running.delivery.step()
    running.until_idle()  # as the supervisor does

    assert sender.texts == ["Banned 203.0.0.1 after 3 failures"]
    assert running.kept.results == ["scripted rejected", "scripted sent"]


def test_too_many_notices_are_dropped_and_counted():
    running = Running(Scripted(Delayed("no")))
    for number in range(105):
        running.publish(problem(f"{number}", "gone"))

    assert running.kept.dropped == 5


def test_a_journal_that_cannot_be_written_costs_no_message(monkeypatch, caplog):
    sender = Scripted()
    running = Running(sender)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(running.journal, "confirm", fail)
    running.publish(STARTED)
    running.until_idle()

    assert sender.texts == ["wp-sidecar 1 has started"]
    assert "a restart may send a message again" in caplog.text
