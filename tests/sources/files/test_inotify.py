"""inotify reports changes in folders; polling reports nothing."""

import struct
import threading
from pathlib import Path

import pytest

from sidecar.sources.files.inotify import (
    CONTENTS,
    CREATE,
    IGNORED,
    MODIFY,
    MOVED_FROM,
    MOVED_TO,
    NAMES,
    OVERFLOW,
    Inotify,
    Polling,
    parse_events,
)

# Seconds. Longer than a test may take.
LONG = 1_000.0


@pytest.fixture
def inotify():
    return Inotify()


def test_writes_renames_and_new_files_are_reported(inotify, tmp_path):
    path = tmp_path / "0.log"
    path.touch()
    watch = inotify.watch(str(tmp_path), CONTENTS)
    told = []
    for happens in (lambda: path.write_text("x"), lambda: path.rename(tmp_path / "1.log"), path.touch):
        happens()
        told.append(inotify.wait(LONG))

    assert told == [{watch: MODIFY}, {watch: MOVED_FROM | MOVED_TO}, {watch: CREATE}]


def test_writes_are_not_reported_if_only_names_are_watched(inotify, tmp_path):
    path = tmp_path / "0.log"
    path.touch()
    inotify.watch(str(tmp_path), NAMES)
    path.write_text("x")

    assert inotify.wait(0) == {}


def test_a_folder_has_one_watch_which_ends_with_the_folder(inotify, tmp_path):
    folder = tmp_path / "pod"
    folder.mkdir()
    watch = inotify.watch(str(folder), NAMES)
    again = inotify.watch(str(folder), NAMES)
    folder.rmdir()

    assert (again, inotify.wait(LONG)) == (watch, {watch: IGNORED})
    inotify.forget(watch)


def test_a_forgotten_watch_reports_nothing(inotify, tmp_path):
    watch = inotify.watch(str(tmp_path), NAMES)
    inotify.forget(watch)
    inotify.wait(0)
    (tmp_path / "new").touch()

    assert inotify.wait(0) == {}


@pytest.mark.parametrize("what", ["nothing", "a-file"])
def test_only_folders_can_be_watched(inotify, tmp_path, what):
    (tmp_path / "a-file").touch()
    with pytest.raises(OSError):
        inotify.watch(str(tmp_path / what), NAMES)


def test_an_overflow_has_no_watch():
    assert parse_events(struct.pack("iIII", -1, OVERFLOW, 0, 0)) == {-1: OVERFLOW}


def test_events_of_one_watch_are_merged():
    events = (
        struct.pack("iIII", 1, MODIFY, 0, 16)
        + b"0.log".ljust(16, b"\0")
        + struct.pack("iIII", 2, CREATE, 0, 0)
    )

    assert parse_events(events + struct.pack("iIII", 1, CREATE, 0, 0)) == {1: MODIFY | CREATE, 2: CREATE}


@pytest.mark.parametrize("kind", [Inotify, Polling])
def test_any_thread_may_end_a_wait(kind):
    notices = kind()
    threading.Timer(0.05, notices.wake).start()

    assert notices.wait(LONG) == {}
    assert notices.wait(0) == {}


def test_no_descriptor_stays_open(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    inotify = Inotify()
    inotify.watch(str(tmp_path), NAMES)
    del inotify

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_polling_watches_nothing(tmp_path):
    notices = Polling()
    notices.forget(notices.watch(str(tmp_path), NAMES))
    (tmp_path / "new").touch()

    assert notices.wait(0) == {}
