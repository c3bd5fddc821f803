"""Which logs may have new lines: those that inotify reports, and all logs in each sweep."""

import time

import pytest

from sidecar.sources.files import log_watcher
from sidecar.sources.files.inotify import OVERFLOW, Polling
from sidecar.sources.files.log_watcher import POLL_INTERVAL_S, SWEEP_INTERVAL_S, Changes, LogWatcher


@pytest.fixture
def folders(tmp_path):
    """The folder of all logs, and the folder of one of them."""
    (tmp_path / "blog").mkdir()
    return str(tmp_path), str(tmp_path / "blog")


def watcher_of(folders, *, inotify=True):
    """Return a watcher that has just done a sweep."""
    watcher, (root, log) = LogWatcher(inotify=inotify), folders
    assert watcher.watch([root], [("blog", log)]) is inotify or not inotify
    assert watcher.wait(time.monotonic(), 0.0).all_logs
    return watcher


def changes(watcher, seconds=0.1):
    now = time.monotonic()
    return watcher.wait(now, now + seconds)


def test_a_line_is_reported_for_its_log(folders, tmp_path):
    (tmp_path / "blog" / "0.log").touch()
    watcher = watcher_of(folders)
    (tmp_path / "blog" / "0.log").write_text("one\n")

    assert changes(watcher) == Changes(written=frozenset({"blog"}))


def test_a_renamed_file_is_reported_for_its_log_and_asks_for_a_scan(folders, tmp_path):
    (tmp_path / "blog" / "0.log").touch()
    watcher = watcher_of(folders)
    (tmp_path / "blog" / "0.log").rename(tmp_path / "blog" / "0.log.1")

    assert changes(watcher) == Changes(frozenset({"blog"}), frozenset({"blog"}), rescan=True)


def test_a_new_log_asks_for_a_scan(folders, tmp_path):
    watcher = watcher_of(folders)
    (tmp_path / "shop").mkdir()

    assert changes(watcher).rescan


def test_without_a_change_all_logs_are_swept_when_it_is_time(folders):
    watcher, now = watcher_of(folders), time.monotonic()

    assert changes(watcher, 0.01) == Changes()
    assert watcher.wait(now + SWEEP_INTERVAL_S + 1, 0.0).all_logs


def test_a_newly_watched_folder_asks_for_a_scan(folders, tmp_path):
    watcher, (root, log) = LogWatcher(), folders

    assert watcher.watch([root], [("blog", log)])
    assert not watcher.watch([root], [("blog", log)])
    assert watcher.watch([root], [("blog", log), ("gone", str(tmp_path / "gone"))])


def test_a_folder_that_is_not_watched_any_more_reports_nothing(folders, tmp_path):
    watcher = watcher_of(folders)
    watcher.watch([folders[0]], [])
    changes(watcher)
    (tmp_path / "blog" / "0.log").touch()

    assert changes(watcher) == Changes()


def test_after_an_overflow_any_log_may_have_changed(folders, monkeypatch):
    watcher = watcher_of(folders)
    monkeypatch.setattr(watcher._notifier, "wait", lambda _: {-1: OVERFLOW})

    assert changes(watcher).all_logs


def test_without_inotify_all_logs_are_polled(folders):
    watcher, now = watcher_of(folders, inotify=False), time.monotonic()

    assert not watcher.reliable
    assert watcher.wait(now + POLL_INTERVAL_S + 0.1, 0.0).all_logs


def test_once_a_folder_cannot_be_watched_all_logs_are_polled(folders, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    watcher = LogWatcher()
    monkeypatch.setattr(watcher._notifier, "watch", refuse)
    watcher.watch([folders[0]], [("blog", folders[1])])

    assert not watcher.reliable
    assert len(caplog.messages) == 1


def test_where_inotify_cannot_be_used_the_watcher_polls(monkeypatch):
    def refuse():
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(log_watcher, "Inotify", refuse)

    assert isinstance(log_watcher._notifier(), Polling)
