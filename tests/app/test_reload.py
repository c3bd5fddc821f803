"""A new configuration is taken over whole, or not at all."""

import signal
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from sidecar.app.reload import Reload
from sidecar.config import reader
from sidecar.config.changes import ReloadOutcome
from sidecar.config.errors import ConfigError, ConfigErrors
from sidecar.config.settings import Settings


class Files:
    """A jails file, who takes over what it says, and what was told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jails.conf"
        self.write("[wordpress]\n")
        self.taken, self.told = [], []
        self.settings = self.read()
        self.reload = Reload(self.settings, self.read, self.taken.append, self.told.append)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def read(self) -> Settings:
        return reader.read({"WP_SIDECAR_JAILS": str(self.path)})


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_what_the_files_say_now_is_taken_over(files):
    files.write("[wordpress]\nmaxretry = 7\n[wordpress-access]\n")
    outcome = files.reload.reload()

    assert [(jail.name, jail.maxretry) for jail in outcome.settings.jails] == [
        ("wordpress", 7),
        ("wordpress-access", 5),
    ]
    assert files.taken == [outcome.settings]
    assert files.told == [outcome]
    assert (outcome.ok, outcome.restart) == (True, ())


@pytest.mark.parametrize(
    "text",
    [
        "[wordpress]\nmaxretry = many\n",
        "[wordpress]\n[wordpress-access]\nmaxretry = many\n",  # the one that is sound does not change alone
        "[wordpress]\nfilter = wordpres\n",
        "no jails file\n",
    ],
)
def test_a_mistake_anywhere_and_nothing_changes(files, text):
    files.write(text)
    outcome = files.reload.reload()

    assert files.taken == []
    assert (outcome.ok, outcome.settings) == (False, files.settings)
    assert all(str(error).startswith(f"{files.path}:") for error in outcome.errors)
    assert files.told == [outcome]


def test_once_it_is_mended_it_is_taken_over(files):
    files.write("[wordpress]\nmaxretry = many\n")
    files.reload.reload()
    files.write("[wordpress]\nmaxretry = 9\n")

    assert [outcome.ok for outcome in (files.reload.reload(), *files.told)] == [True, False, True]
    assert [settings.jails[0].maxretry for settings in files.taken] == [9]


def test_what_cannot_be_taken_over_is_a_mistake_and_the_old_stays(files):
    wrong = ConfigError("environment", "", "", "no Docker socket at unix:///nowhere")

    def take(_: Settings) -> None:
        raise ConfigErrors([wrong])

    reload = Reload(files.settings, files.read, take, files.told.append)

    assert reload.reload() == ReloadOutcome(files.settings, errors=(wrong,))


def test_a_signal_asks_for_it_in_the_services_thread(files):
    """Also one that interrupts another, in the thread that all of them interrupt."""
    done: Future[threading.Thread] = Future()
    files.reload = Reload(
        files.settings, files.read, files.taken.append, lambda _: done.set_result(threading.current_thread())
    )
    before = signal.signal(signal.SIGHUP, lambda *_: files.reload.soon())
    service = threading.Thread(target=files.reload.run)
    try:
        for _ in range(50):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    service.start()

    assert done.result(10) is service
    files.reload.close()
    service.join(10)
    assert not service.is_alive()
    assert len(files.taken) == 1  # fifty wishes that waited are one


def test_two_at_once_go_one_after_the_other(files):
    alone = []

    def take(_: Settings) -> None:
        first = lock.acquire(blocking=False)
        alone.append(first)
        threading.Event().wait(0.05)  # the other threads' chance
        if first:
            lock.release()

    lock = threading.Lock()
    reload = Reload(files.settings, files.read, take, files.told.append)
    threads = [threading.Thread(target=reload.reload) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert alone == [True] * 3
    assert [outcome.ok for outcome in files.told] == [True] * 3


def test_closed_before_it_begins_it_ends(files):
    files.reload.soon()
    files.reload.close()
    files.reload.run()

    assert files.taken == []
