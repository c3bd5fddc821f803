import os
import threading

import pytest

from sidecar.alerts.compose import problem, started
from sidecar.alerts.delivery import OutboxTiming
from sidecar.alerts.journal import Journal
from sidecar.alerts.outbox import MAX_WHOLE, Outbox
from sidecar.alerts.sender import Delayed, MessageRefused
from sidecar.alerts.sink import AlertSink
from sidecar.core.actions import Action, AlertEvent
from sidecar.core.address import Address
from sidecar.core.events import Ban, BanCause
from sidecar.runtime.problems import Problems
from tests.alerts.support import Kept, Scripted, ban, channel
from tests.support.waiting import wait_until

STARTED = started("1", ["wordpress"], 0)
QUICK = OutboxTiming(pace_s=0, first_retry_s=0.01, closing_retry_s=0.01)


class Running:
    """An outbox in its thread, with the problems that it reports and publishes."""

    def __init__(self, folder, *channels):
        self.kept, self.problems = Kept(), Problems()
        self.outbox = Outbox(Journal(folder), channels, self.kept, self.problems, timing=QUICK)
        self.problems.add_listener(AlertSink(self.outbox))
        self.outbox.open()
        self._thread = threading.Thread(target=self.outbox.run)

    def __enter__(self):
        self._thread.start()
        return self.outbox

    def __exit__(self, *_):
        self.outbox.close()
        self._thread.join(60)
        assert not self._thread.is_alive()


def test_from_start_to_stop(tmp_path):
    slack, mail = Scripted(name="slack"), Scripted(name="mail")
    running = Running(tmp_path, channel(slack, "slack"), channel(mail, "mail"))
    with running as outbox:
        outbox.publish_notice(STARTED)
        outbox.publish_occurrences([ban(1)])

    assert slack.texts == mail.texts == ["wp-sidecar 1 has started", "Banned 203.0.0.1 after 3 failures"]
    assert sorted(running.kept.results) == ["mail sent"] * 2 + ["slack sent"] * 2


def test_each_sender_goes_on_where_it_was(tmp_path):
    slow = Scripted(*[Delayed("no", after_s=600)] * 2, name="slow")
    with Running(tmp_path, channel(Scripted(), "quick"), channel(slow, "slow")) as outbox:
        outbox.publish_notice(STARTED)
        outbox.publish_occurrences([ban(1)])
        wait_until(lambda: slow.tries)
    quick, slow = Scripted(), Scripted(name="slow")
    with Running(tmp_path, channel(quick, "quick"), channel(slow, "slow")):
        wait_until(lambda: len(slow.got) == 2)

    assert slow.texts == ["wp-sidecar 1 has started", "Banned 203.0.0.1 after 3 failures"]
    assert quick.got == []


def test_a_new_sender_is_not_sent_what_was_before_it(tmp_path):
    with Running(tmp_path, channel(Scripted(Delayed("no", after_s=600)), "old")) as outbox:
        outbox.publish_notice(STARTED)
    new = Scripted()
    with Running(tmp_path, channel(new, "new")) as outbox:
        outbox.publish_occurrences([ban(1)])

    assert new.texts == ["Banned 203.0.0.1 after 3 failures"]


def test_a_channel_is_sent_what_it_asks_for(tmp_path):
    only_bans = Action("slack", "slack", events=frozenset({AlertEvent.BAN}))
    sender = Scripted()
    running = Running(tmp_path, channel(sender, others=only_bans))
    assert running.outbox.wanted == {AlertEvent.BAN}
    with running as outbox:
        outbox.publish_notice(STARTED)
        outbox.publish_occurrences([ban(1)])

    assert sender.texts == ["Banned 203.0.0.1 after 3 failures"]


def test_thousands_of_bans_in_one_turn_are_counted_at_once(tmp_path):
    sender = Scripted()
    running = Running(tmp_path, channel(sender))
    bans = [ban(number, site="blog" if number % 2 else "shop") for number in range(10_000)]
    running.outbox.publish_occurrences(bans)
    with running:
        pass

    assert sender.texts[-1].endswith("bans enforced within 0s")
    assert sender.got[-1].digest.count + len(sender.got) - 1 == 10_000
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 500 * MAX_WHOLE + 20 * 10_000


def test_a_turn_is_sent_once_it_is_stored_and_holds_up_what_came_after_it(tmp_path):
    sender = Scripted()
    running = Running(tmp_path, channel(sender))
    with running as outbox:
        outbox.prepare([ban(1)])
        outbox.publish_notice(STARTED)
        (delivery,) = outbox.deliveries
        assert delivery._queue.left == 0
        outbox.commit()
        outbox.commit()

    assert sender.texts == ["Banned 203.0.0.1 after 3 failures", "wp-sidecar 1 has started"]


@pytest.mark.parametrize("stored", ["all", "none", "unknown", "committed"])
def test_what_was_being_stored_at_a_kill_is_sent_only_if_it_was_stored(tmp_path, stored):
    killed = Running(tmp_path, channel(Scripted()))
    bans = [
        Ban("wordpress", Address(ban(number).address), 0.0, 60.0, BanCause.FAILURES) for number in range(300)
    ]
    killed.outbox.publish_notice(STARTED)
    killed.outbox.prepare([ban(number) for number in range(300)])
    killed.outbox.publish_notice(problem("docker", "gone"))
    if stored == "committed":
        killed.outbox.commit()
    sender = Scripted()
    outbox = Outbox(Journal(tmp_path), [channel(sender)], Kept(), Problems(), timing=QUICK)
    outbox.open({"all": bans, "unknown": None}.get(stored, []))
    outbox.close()
    outbox.run()

    counted = [] if stored == "none" else ["300 bans enforced within 0s"]
    assert sender.texts == ["wp-sidecar 1 has started", *counted, "Problem: docker"]


def test_publishing_never_waits_even_when_nobody_answers(tmp_path):
    hung = threading.Event()

    class Hung(Scripted):
        over = False

        def send(self, notice, within_s):
            self.tries += 1
            hung.wait(100)
            self.over = True

    sender = Hung()
    running = Running(tmp_path, channel(sender))
    with running as outbox:
        outbox.publish_notice(STARTED)
        wait_until(lambda: sender.tries)
        for _ in range(100):
            outbox.publish_occurrences([ban(number) for number in range(100)])
        waited = sender.over
        hung.set()

    assert not waited


def test_new_settings_add_change_and_remove_channels(tmp_path):
    old, kept, new = Scripted(name="old"), Scripted(MessageRefused("no."), name="kept"), Scripted(name="new")
    running = Running(tmp_path, channel(old, "old"), channel(kept, "kept"))
    with running as outbox:
        outbox.publish_notice(STARTED)
        wait_until(lambda: kept.tries and old.got)
        outbox.reconfigure([channel(kept, "kept"), channel(new, "new")])
        wait_until(lambda: kept.got)
        outbox.publish_occurrences([ban(1)])
        wait_until(lambda: new.got)

    assert [each.key for each in outbox.channels] == ["kept", "new"]
    assert (old.texts, new.texts) == (
        ["wp-sidecar 1 has started", "Problem: alerts to kept"],
        ["Banned 203.0.0.1 after 3 failures"],
    )
    assert kept.texts[0] == "wp-sidecar 1 has started"


def test_the_first_channel_may_come_with_a_reload(tmp_path):
    running = Running(tmp_path / "alerts")
    running.outbox.publish_notice(STARTED)
    assert not (tmp_path / "alerts").exists()
    sender = Scripted()
    with running as outbox:
        outbox.reconfigure([channel(sender)])
        outbox.publish_occurrences([ban(1)])
        wait_until(lambda: sender.got)

    assert sender.texts == ["Banned 203.0.0.1 after 3 failures"]


def test_a_state_directory_that_cannot_be_written_is_a_problem_and_alerts_go_on(tmp_path):
    (tmp_path / "file").write_text("")
    sender = Scripted()
    running = Running(tmp_path / "file", channel(sender))
    assert "alerts are not kept over a restart" in running.problems.sentences[0]
    with running as outbox:
        outbox.publish_notice(STARTED)

    assert sender.texts == ["Problem: the alerts' journal", "wp-sidecar 1 has started"]


def test_what_is_published_before_it_is_open_touches_no_file_and_is_sent_then(tmp_path):
    sender = Scripted()
    outbox = Outbox(Journal(tmp_path / "alerts"), [channel(sender)], Kept(), Problems(), timing=QUICK)
    outbox.publish_notice(STARTED)
    assert not (tmp_path / "alerts").exists()
    outbox.open()
    outbox.close()
    outbox.run()

    assert sender.texts == ["wp-sidecar 1 has started"]


def test_what_is_published_is_soon_on_the_disk(tmp_path, monkeypatch):
    synced = []
    running = Running(tmp_path, channel(Scripted(Delayed("no", after_s=600))))
    monkeypatch.setattr(os, "fdatasync", synced.append)
    with running as outbox:
        outbox.publish_notice(STARTED)
        wait_until(lambda: synced)


@pytest.mark.parametrize("count", [0, 1])
def test_an_outbox_that_is_closed_before_it_runs_ends_at_once(tmp_path, count):
    running = Running(tmp_path, *[channel(Scripted())] * count)
    running.outbox.close()
    running.outbox.run()


def test_problems_about_the_journal_are_published_without_a_deadlock(tmp_path, monkeypatch):
    sender = Scripted()
    running = Running(tmp_path, channel(sender))

    def fail(_):
        raise OSError(28, "No space left on device")

    with running as outbox:
        monkeypatch.setattr(outbox._journal._journal, "_write", fail)
        outbox.publish_notice(problem("docker", "gone"))
        wait_until(lambda: len(sender.got) == 2)

    assert sorted(sender.texts) == ["Problem: docker", "Problem: the alerts' journal"]
