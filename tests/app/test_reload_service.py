"""A new configuration is taken over whole, or not at all."""

import logging
import signal
import threading
import time
from concurrent.futures import Future

import pytest

from sidecar.app.reload_service import ReloadReport, ReloadService
from sidecar.config import reader
from sidecar.config.changes import ReloadOutcome
from sidecar.config.errors import ConfigError, ConfigErrors
from sidecar.config.settings import Settings
from sidecar.core.jail import Jail
from tests.app.world import Changes, ReadableMetrics

WRONG = ConfigError("environment", "", "", "no Docker socket at unix:///nowhere")


class World:
    """A jails file, what puts its settings in force, and what is reported."""

    def __init__(self, folder):
        self.path = folder / "jails.conf"
        self.write("[wordpress]\n")
        self.applied, self.outcomes = [], []
        self.settings = self.read()
        self.service = ReloadService(self.settings, self.read, self, self)

    def write(self, text):
        self.path.write_text(text)

    def read(self):
        return reader.read({"WP_SIDECAR_JAILS": str(self.path)})

    def apply(self, settings):
        self.applied.append(settings)

    def reloaded(self, outcome):
        self.outcomes.append(outcome)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_what_the_files_say_now_is_taken_over(world):
    world.write("[wordpress]\nmaxretry = 7\n[wordpress-access]\n")
    outcome = world.service.reload()

    assert [(jail.name, jail.maxretry) for jail in outcome.settings.jails] == [
        ("wordpress", 7),
        ("wordpress-access", 5),
    ]
    assert world.applied == [outcome.settings] == [world.service.settings]
    assert world.outcomes == [outcome]
    assert (outcome.ok, outcome.restart) == (True, ())


@pytest.mark.parametrize(
    "text",
    [
        "[wordpress]\nmaxretry = many\n",
        # The valid jail does not change alone.
        "[wordpress]\n[wordpress-access]\nmaxretry = many\n",
        "[wordpress]\nfilter = wordpres\n",
        "no jails file\n",
    ],
)
def test_with_an_error_anywhere_nothing_changes(world, text):
    world.write(text)
    outcome = world.service.reload()

    assert world.applied == []
    assert (outcome.ok, outcome.settings) == (False, world.settings)
    assert all(str(error).startswith(f"{world.path}:") for error in outcome.errors)
    assert world.outcomes == [outcome]


def test_a_corrected_configuration_is_taken_over(world):
    world.write("[wordpress]\nmaxretry = many\n")
    world.service.reload()
    world.write("[wordpress]\nmaxretry = 9\n")

    assert [outcome.ok for outcome in (world.service.reload(), *world.outcomes)] == [True, False, True]
    assert [settings.jails[0].maxretry for settings in world.applied] == [9]


def test_settings_that_cannot_be_applied_are_an_error_and_the_old_ones_stay(world):
    class Refusing:
        def apply(self, _):
            raise ConfigErrors([WRONG])

    service = ReloadService(world.settings, world.read, Refusing(), world)

    assert service.reload() == ReloadOutcome(world.settings, errors=(WRONG,))
    assert service.settings is world.settings


def test_a_signal_requests_a_reload_in_the_services_thread(world):
    """A signal may also interrupt another one, in the main thread."""
    done: Future[threading.Thread] = Future()
    world.reloaded = lambda _: done.set_result(threading.current_thread())
    before = signal.signal(signal.SIGHUP, lambda *_: world.service.request())
    thread = threading.Thread(target=world.service.run)
    try:
        for _ in range(50):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    thread.start()

    assert done.result(10) is thread
    world.service.close()
    thread.join(60)
    assert not thread.is_alive()
    # Fifty requests that waited are one.
    assert len(world.applied) == 1


def test_reloads_of_several_threads_come_one_after_the_other(world):
    alone, lock = [], threading.Lock()

    def apply(_):
        first = lock.acquire(blocking=False)
        alone.append(first)
        # Long enough for the other threads to come here, if they could.
        time.sleep(0.05)
        if first:
            lock.release()

    world.apply = apply
    threads = [threading.Thread(target=world.service.reload) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert alone == [True] * 3
    assert [outcome.ok for outcome in world.outcomes] == [True] * 3


def test_a_service_closed_before_it_runs_reloads_nothing(world):
    world.service.request()
    world.service.close()
    world.service.run()

    assert world.applied == []


class Reported:
    """A report, and what it says."""

    def __init__(self):
        self.changes, self.readable = Changes(), ReadableMetrics()
        self.problems = self.changes.problems()
        self.report = ReloadReport(self.readable.metrics.process, self.problems, lambda: 5.0)

    def metrics(self):
        return (
            self.readable.value("config_last_reload_successful"),
            self.readable.value("config_last_reload_success_timestamp_seconds"),
        )


SETTINGS = Settings((Jail("web"),), {}, notes=("a note",))
BAD_JAIL = ConfigError("jails.conf", "mail", "maxretry", 'expected a whole number, got "five"', 3)


def test_a_jail_that_stands_there_twice_runs_and_is_reported():
    reported = Reported()
    twice = ConfigError("jails.conf", "web", "", "this section is there twice", 9)
    reported.report.started(Settings((Jail("web"),), {}, errors=(twice,)))

    assert reported.changes == [("the jail at jails.conf:9", str(twice))]


def test_a_jail_that_the_start_leaves_out_is_critical_until_a_reload_has_it(caplog):
    reported = Reported()
    reported.report.started(Settings((Jail("web"),), {}, notes=("a note",), errors=(BAD_JAIL,)))
    assert reported.metrics() == (1, 5.0)
    assert reported.changes == [("the jail at jails.conf:3", f"a jail is left out: {BAD_JAIL}")]
    assert reported.problems.critical
    assert "a note" in caplog.messages

    reported.report.reloaded(ReloadOutcome(SETTINGS))
    assert reported.changes[1:] == [("the jail at jails.conf:3", None)]


def test_a_refused_configuration_is_reported_with_its_first_error_and_logged_with_all(caplog):
    reported = Reported()
    reported.report.reloaded(ReloadOutcome(SETTINGS, errors=(WRONG, BAD_JAIL)))

    assert reported.metrics() == (0, 0)
    ((name, sentence),) = reported.changes
    assert (name, reported.problems.critical) == ("the configuration", False)
    assert f"{WRONG} (and 1 more: check-config has all)" in sentence
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        str(WRONG),
        str(BAD_JAIL),
    ]

    reported.report.reloaded(ReloadOutcome(SETTINGS))
    assert reported.metrics() == (1, 5.0)
    assert reported.changes[1:] == [("the configuration", None)]


def test_changes_that_need_a_restart_are_logged(caplog):
    Reported().report.reloaded(ReloadOutcome(SETTINGS, restart=("WP_SIDECAR_STATE", "DOCKER_HOST")))

    assert "these changes need a restart: WP_SIDECAR_STATE, DOCKER_HOST" in caplog.messages
