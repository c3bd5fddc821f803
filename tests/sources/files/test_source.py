"""Each line of a log at a path is read once while its files are renamed, truncated and replaced."""

import errno
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.core.events import Batch, Framing, Origin, Written
from sidecar.sources.files import rotated_path
from sidecar.sources.files.decoder import PlainLines
from sidecar.sources.files.follower import RETRY_DELAY_S, Follower
from sidecar.sources.files.rotated_path import RotatedPath
from sidecar.sources.files.segments import FIRST_SIGHT_BYTES
from sidecar.sources.files.source import Files
from tests.sources.recorder import Recorder
from tests.support.paths import ROOT

BAD_DISK = "/proc/self/mem"  # of which the kernel says EIO, as of a bad disk
LONG = b"a line that is long enough for its file to be known again %d\n"


class Tail:
    """A follower of a path. Each step checks whether files were renamed."""

    def __init__(self, log, path):
        key = f"file:{path}"
        state = log.cursors.get(key, b"")
        self._log = log
        self._follower = Follower(key, RotatedPath(str(path)), PlainLines(Framing.SYSLOG), log.outputs, state)
        self._follower.describe(Origin("file", str(path), "", ("jail",)))
        self.close = self._follower.close

    def step(self):
        self._follower.files_changed = True
        return self._follower.step(time.time() + self._log.later)


class Log(Recorder):
    """What was read of a path, in order. `later`: for the follower it is this many seconds later."""

    later = 0.0

    @property
    def data(self):
        return b"".join(batch.data for batch in self.batches)

    def tail(self, path):
        return Tail(self, path)

    def texts(self):
        """Whole lines. `lines` would drop a timestamp that they do not have."""
        return [
            (batch.origin.name, batch.origin.stream, line)
            for batch in self.batches
            for line in batch.data.splitlines()
        ]

    def reasons(self):
        return [
            each[-1] if each[0] == "reopened" else "gap"
            for each in self.events
            if each[0] in ("reopened", "gap")
        ]


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "error.log"


@contextmanager
def reading(log, path):
    tail = log.tail(path)
    try:
        yield tail
    finally:
        tail.close()


def drain(tail):
    while tail.step():
        pass


def write(path, data):
    with path.open("ab") as file:
        file.write(data)


def ages(log):
    return [batch.written for batch in log.batches]


def test_lines_that_were_there_when_the_log_was_first_read_are_of_unknown_age(log, path):
    write(path, b"one\n" * 100_000)
    with reading(log, path) as tail:
        drain(tail)

    assert len(ages(log)) > 1
    assert set(ages(log)) == {Written.EARLIER}


def test_lines_since_the_last_run_were_written_lately(log, path):
    write(path, b"one\n")
    with reading(log, path) as tail:
        drain(tail)
    write(path, b"two\n")
    with reading(log, path) as tail:
        drain(tail)
        write(path, b"three\n")
        drain(tail)

    assert ages(log) == [Written.EARLIER, Written.LATELY, Written.JUST_NOW]


def test_lines_were_not_written_just_now_if_the_last_look_was_long_ago(log, path):
    with reading(log, path) as tail:
        write(path, b"")
        drain(tail)
        write(path, b"one\n")
        log.later = 60.0
        drain(tail)
        write(path, b"two\n")
        drain(tail)

    assert ages(log) == [Written.LATELY, Written.JUST_NOW]


def test_lines_after_a_rotation_were_written_just_now(log, path):
    write(path, b"one\n")
    with reading(log, path) as tail:
        drain(tail)
        path.rename(path.with_suffix(".log.1"))
        write(path, b"two\n")
        drain(tail)

    assert ages(log) == [Written.EARLIER, Written.JUST_NOW]


def test_another_file_at_the_path_of_the_last_run_is_of_unknown_age(log, path):
    write(path, b"one\n")
    with reading(log, path) as tail:
        drain(tail)
    path.unlink()
    write(path, b"other\ntwo\n")
    with reading(log, path) as tail:
        drain(tail)

    assert ages(log) == [Written.EARLIER, Written.EARLIER]


def test_lines_become_batches_as_they_are_written(log, path):
    write(path, b"one\ntwo\nthr")
    with reading(log, path) as tail:
        drain(tail)
        write(path, b"ee\n")
        drain(tail)

    origin = Origin("file", str(path), "", ("jail",))
    assert log.batches == [
        Batch(origin, b"one\ntwo\n", Framing.SYSLOG, Written.EARLIER),
        Batch(origin, b"three\n", Framing.SYSLOG, Written.JUST_NOW),
    ]
    assert log.events == [
        ("opened", str(path)),
        ("read", str(path), "", 2, 8, None),
        ("read", str(path), "", 1, 6, None),
        ("closed", str(path)),
    ]


def test_reading_continues_at_the_last_stored_cursor(log, path):
    for number in range(20):
        write(path, (LONG % number)[: 10 + number])
        with reading(log, path) as tail:
            drain(tail)

    assert log.data == path.read_bytes()[: path.read_bytes().rfind(b"\n") + 1]


def test_a_renamed_file_is_read_to_its_end_before_the_new_one(log, path):
    write(path, b"one\n")
    with reading(log, path) as tail:
        drain(tail)
        path.rename(path.with_suffix(".log.1"))
        write(path.with_suffix(".log.1"), b"two\n")
        drain(tail)
        path.touch()
        write(path.with_suffix(".log.1"), b"three: its writer has not yet been told\n")
        drain(tail)
        write(path.with_suffix(".log.1"), b"four\n")
        write(path, b"five\n")
        drain(tail)

    assert log.data == b"one\ntwo\nthree: its writer has not yet been told\nfour\nfive\n"
    assert log.reasons() == ["rotated"]


def test_an_unfinished_line_is_not_joined_to_the_next_file(log, path):
    write(path, b"one\nunfinished")
    with reading(log, path) as tail:
        drain(tail)
        path.rename(path.with_suffix(".log.1"))
        write(path, b"two\n")
        drain(tail)

    assert log.data == b"one\ntwo\n"


def test_a_rotation_between_two_runs_loses_nothing(log, path):
    write(path, LONG % 1)
    with reading(log, path) as tail:
        drain(tail)
    write(path, LONG % 2)
    path.rename(path.with_suffix(".log.1"))
    write(path, LONG % 3)
    with reading(log, path) as tail:
        drain(tail)

    assert log.data == LONG % 1 + LONG % 2 + LONG % 3
    assert log.reasons() == ["rotated"]


def test_a_rotation_while_the_successor_is_searched_for_loses_nothing(log, path, monkeypatch):
    def found_and_then_renamed(name):
        found = rotated(name)
        if path.read_bytes() == b"two\n":
            path.rename(f"{path}.2")
            write(path, b"three\n")
        return found

    rotated = rotated_path.rotated_files
    monkeypatch.setattr(rotated_path, "rotated_files", found_and_then_renamed)
    write(path, b"one\n")
    with reading(log, path) as tail:
        drain(tail)
        os.utime(path, (1, 1))
        path.rename(f"{path}.1")
        write(path, b"two\n")
        drain(tail)
        drain(tail)

    assert log.data == b"one\ntwo\nthree\n"


def test_two_rotations_between_two_runs_lose_nothing(log, path):
    write(path, LONG % 1)
    with reading(log, path) as tail:
        drain(tail)
    for number, suffix in enumerate(("2", "1"), 2):
        write(path, LONG % number)
        os.utime(path, (number, number))
        path.rename(path.with_suffix(f".log.{suffix}"))
    write(path.with_suffix(".log.bak"), b"a copy\n")
    write(path, LONG % 4)
    with reading(log, path) as tail:
        drain(tail)

    assert log.data == LONG % 1 + LONG % 2 + LONG % 3 + LONG % 4


def test_a_missing_file_is_a_gap(log, path):
    write(path, LONG % 1)
    with reading(log, path) as tail:
        drain(tail)
    path.rename(path.with_suffix(".old"))
    write(path, LONG % 2)
    with reading(log, path) as tail:
        drain(tail)

    assert log.data == LONG % 1 + LONG % 2
    assert log.reasons() == ["gap"]
    sentence = RotatedPath(str(path)).gap_advice(str(path))
    assert log.problems == [(f"file {path}", sentence), (f"file {path}", None)]


@pytest.mark.parametrize("again", [b"", LONG % 3, (LONG % 3) * 20], ids=["shorter", "as long", "longer"])
def test_a_truncated_file_is_read_from_its_start(log, path, again):
    write(path, LONG % 1 + LONG % 2 + b"unfinished")
    with reading(log, path) as tail:
        drain(tail)
        shutil.copy(path, path.with_suffix(".log.1"))
        os.truncate(path, 0)
        write(path, again)
        drain(tail)
        write(path, b"last\n")
        drain(tail)

    assert log.data == LONG % 1 + LONG % 2 + again + b"last\n"
    assert log.reasons() == ["truncated"]


def test_a_new_file_with_the_inode_number_of_the_old_one_is_read_from_its_start(log, path):
    write(path, LONG % 1)
    with reading(log, path) as tail:
        drain(tail)
        inode = path.stat().st_ino
    with path.open("r+b") as file:  # the same file, with another's content, is what it looks like
        file.write(LONG % 2 + LONG % 3)
    assert path.stat().st_ino == inode
    with reading(log, path) as tail:
        drain(tail)

    assert log.data == LONG % 1 + LONG % 2 + LONG % 3


def test_a_missing_path_is_a_problem_until_the_file_exists(log, path):
    with reading(log, path) as tail:
        assert not tail.step()
        assert not tail.step()
        write(path, b"one\n")
        drain(tail)

    sentence = f"{path} cannot be read (No such file or directory): its lines are not checked until it can"
    assert log.data == b"one\n"
    assert log.problems == [(f"file {path}", sentence), (f"file {path}", None)]


def test_a_pipe_is_a_problem(log, path):
    os.mkfifo(path)
    with reading(log, path) as tail:
        assert not tail.step()

    assert [sentence for _, sentence in log.problems] == [
        f"{path} cannot be read (it is not a regular file): its lines are not checked until it can"
    ]


def unread(name, why):
    return f"{name} cannot be read ({why}): its lines are not checked until it can"


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_bad_disk_is_reported_once(log, path):
    path.symlink_to(BAD_DISK)
    before = descriptors()
    with reading(log, path) as tail:
        assert [tail.step() for _ in range(3)] == [False] * 3
        assert descriptors() == before

    assert log.problems == [(f"file {path}", unread(path, os.strerror(errno.EIO)))]
    assert log.events == [
        ("opened", str(path)),
        ("closed", str(path)),
        ("unreadable", str(path)),
    ]


def test_a_bad_disk_is_tried_again_later_and_its_recovery_is_reported(log, path):
    path.symlink_to(BAD_DISK)
    with reading(log, path) as tail:
        drain(tail)
        path.unlink()
        write(path, b"one\n")
        drain(tail)
        assert log.data == b""
        log.later += RETRY_DELAY_S
        drain(tail)
        write(path, b"two\n")
        drain(tail)

        assert log.data == b"one\ntwo\n"
        assert log.problems[-1] == (f"file {path}", None)
        assert [each for each in log.events if each[0] in ("opened", "closed", "unreadable")][-2:] == [
            ("unreadable", str(path)),
            ("opened", str(path)),
        ]


def test_a_renamed_file_on_a_bad_disk_is_skipped(log, path):
    path.symlink_to(BAD_DISK)
    with reading(log, path) as tail:
        drain(tail)
        path.rename(f"{path}.1")
        write(path, b"one\n")
        for _ in range(3):
            log.later += RETRY_DELAY_S
            drain(tail)

    assert log.data == b"one\n"
    assert log.reasons() == ["gap"]
    assert log.problems[-1] == (f"file {path}", None)


def test_a_folder_in_place_of_the_log_is_a_problem_until_it_is_gone(log, path):
    write(path, b"one\n")
    with reading(log, path) as tail:
        drain(tail)
        path.rename(f"{path}.old")
        path.mkdir()
        drain(tail)
        drain(tail)
        assert log.problems == [(f"file {path}", unread(path, "it is not a regular file"))]
        assert log.events[-1] == ("unreadable", str(path))
        path.rmdir()
        write(path, b"two\n")
        log.later += RETRY_DELAY_S
        drain(tail)

        assert log.data == b"one\ntwo\n"
        assert log.problems[1:] == [(f"file {path}", None)]
        assert log.events[-1] == ("opened", str(path))


def test_a_bad_disk_under_one_log_does_not_delay_others(log, path):
    write(path, b"0\n")
    with running(log, {BAD_DISK: ("jail",), str(path): ("jail",)}):
        for number in range(1, 20):
            log.wait_lines(number)
            write(path, b"%d\n" % number)
        log.wait_lines(20)

    assert log.problems == [(f"file {BAD_DISK}", unread(BAD_DISK, os.strerror(errno.EIO)))]


FEW = """
import json, resource, sys, threading
from sidecar.sources.files.source import Files
from tests.sources.recorder import Recorder

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
log, folder = Recorder(), sys.argv[1]
source = Files({f"{folder}/*.log": ("jail",)}, log.outputs, cursors={}, interval_s=0.01)
thread = threading.Thread(target=source.run, daemon=True)
thread.start()
log.wait(lambda: len(log.batches) == 48 and log.problems)
spare = [open("/dev/null") for _ in range(8)]
source.reconfigure({f"{folder}/[4-7]*.log": ("jail",)})
log.wait(lambda: len(log.batches) == 80)
source.close()
thread.join()
print(json.dumps([[batch.origin.name for batch in log.batches], log.problems, log.events]))
"""


def test_with_few_descriptors_some_stay_free_and_the_limit_is_reported(tmp_path):
    """The CLI, the firewall and the stores need some as well."""
    paths = [f"{tmp_path}/{number:02}.log" for number in range(100)]
    for path in paths:
        write(Path(path), b"hello\n")
    done = subprocess.run(
        [sys.executable, "-c", FEW, tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read, problems, told = json.loads(done.stdout)

    assert read == paths[:80]
    sentence = (
        f"52 logs are not followed, among them {paths[48]}: only 48 of the open files that the limit nofile "
        "allows (64) are for logs. Raise it (systemd: LimitNOFILE=, Docker: --ulimit nofile=), or name fewer "
        "files in `logpath`"
    )
    assert problems == [["nofile", sentence], ["nofile", None]]
    assert sorted(each[1] for each in told if each[0] == "unreadable") == paths[48:]
    assert sorted(each[1] for each in told if each[0] == "removed") == paths[:40] + paths[80:]


FULL = """
import json, resource, sys
from contextlib import suppress
from pathlib import Path
from tests.sources.files.test_source import Log, drain

log, path = Log(), Path(sys.argv[1])
tail = log.tail(path)
drain(tail)
tail.close()
path.rename(f"{path}.1")
path.write_bytes(b"new\\n")
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
spare = []
with suppress(OSError):
    while True:
        spare.append(open("/dev/null"))
for _ in range(4):
    drain(tail)
    log.later += 10
    spare.pop().close()
print(json.dumps([log.data.decode(), log.reasons(), log.problems]))
"""


def test_without_descriptors_a_renamed_file_is_read_later(path):
    """An error of opening it does not mean that it is gone."""
    write(path, LONG % 1)
    done = subprocess.run(
        [sys.executable, "-c", FULL, path], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    read, reasons, problems = json.loads(done.stdout)

    sentence = (
        f"{unread(path, os.strerror(errno.EMFILE))}. The limit nofile is reached. "
        "Raise it (systemd: LimitNOFILE=, Docker: --ulimit nofile=), or name fewer files in `logpath`"
    )
    assert (read, reasons) == ((LONG % 1).decode() + "new\n", ["rotated"])
    assert problems == [[f"file {path}", sentence], [f"file {path}", None]]


def test_only_the_end_of_a_huge_file_is_read_at_first_sight(log, path):
    with path.open("wb") as file:
        file.truncate(FIRST_SIGHT_BYTES)
        file.seek(0, os.SEEK_END)
        file.write(b"x\nwhole\nlines\n")
    with reading(log, path) as tail:
        drain(tail)

    assert log.data == b"whole\nlines\n"


def test_the_end_of_a_line_that_began_before_is_not_read_at_first_sight(log, path):
    """An attacker may have chosen the end of such a line."""
    with path.open("wb") as file:
        file.truncate(100)
        file.seek(0, os.SEEK_END)
        file.write(b"y" * FIRST_SIGHT_BYTES + b"from 192.0.2.1\nwhole\n")
    with reading(log, path) as tail:
        drain(tail)

    assert log.data == b"whole\n"


@contextmanager
def running(log, paths):
    source = Files(paths, log.outputs, cursors=log.cursors, interval_s=0.01)
    thread = threading.Thread(target=source.run)
    thread.start()
    try:
        yield source
    finally:  # or the tests would never end, once one fails
        source.close()
        thread.join(60)
    assert not thread.is_alive()


def test_a_file_is_checked_by_the_jails_of_all_patterns_that_match_it(log, tmp_path):
    for name in ("a.log", "b.log", "c.txt"):
        write(tmp_path / name, b"hello\n")
    paths = {f"{tmp_path}/*.log": ("all",), f"{tmp_path}/a.log": ("one", "all"), f"{tmp_path}/[": ("none",)}
    with running(log, paths):
        log.wait_lines(2)

    assert {batch.origin.name.rpartition("/")[2]: batch.origin.jails for batch in log.batches} == {
        "a.log": ("all", "one"),
        "b.log": ("all",),
    }


def test_paths_that_are_not_utf_8_have_cursors_of_their_own(log, tmp_path):
    """With replacement characters, both would have the same name."""
    paths = [tmp_path / os.fsdecode(b"caf%c.log" % byte) for byte in (0xE8, 0xE9)]
    for number in range(2):
        for path in paths:
            write(path, b"%d\n" % number)
        with running(log, {f"{tmp_path}/*.log": ("jail",)}):
            log.wait_lines(2 * number + 2)
    for path in paths:
        path.rename(f"{path}.1")
        write(path.with_name(f"{path.name}.1"), b"2\n")
        write(path, b"3\n")
    with running(log, {f"{tmp_path}/*.log": ("jail",)}):
        log.wait_lines(8)

    names = [f"{tmp_path}/caf\\x{byte}.log" for byte in ("e8", "e9")]
    assert sorted((name, text) for name, _, text in log.texts()) == [
        (name, text) for name in names for text in (b"0", b"1", b"2", b"3")
    ]
    assert {each[1] for each in log.events if each[0] == "opened"} == set(names)
    assert sorted(log.cursors) == [f"file={os.fsencode(path).hex()}" for path in paths]


def test_rotation_under_load_loses_and_repeats_nothing(log, path):
    path.touch()
    with running(log, {str(path): ("jail",)}):
        for number in range(3000):
            write(path, b"%d\n" % number)
            if number % 500 == 499:
                log.wait(lambda: log.lines)
                path.rename(path.with_suffix(f".log.{number}"))
        log.wait_lines(3000)

    assert log.data == b"".join(b"%d\n" % number for number in range(3000))


def test_a_reload_changes_the_jails_from_the_next_line_on(log, path):
    write(path, b"one\n")
    with running(log, {str(path): ("first",)}) as source:
        log.wait_lines(1)
        source.reconfigure({str(path): ("second", "third")})
        for number in range(200):
            write(path, b"more\n")
            log.wait_lines(number + 2)
            if log.batches[-1].origin.jails != ("first",):
                break

    assert log.batches[-1].origin.jails == ("second", "third")
    assert log.events[:1] == [("opened", str(path))]
    assert log.reasons() == []  # it was not opened again


def test_a_path_that_no_jail_names_is_left_and_continued_later(log, tmp_path):
    one, other = tmp_path / "one.log", tmp_path / "other.log"
    for path in (one, other):
        write(path, LONG % 0)
    with running(log, {str(one): ("jail",), str(other): ("jail",)}) as source:
        log.wait_lines(2)
        source.reconfigure({str(one): ("jail",), f"{tmp_path}/gone-*": ("jail",)})
        log.wait(lambda: ("removed", str(other)) in log.events)
        write(other, LONG % 1)
        write(one, LONG % 1)
        log.wait_lines(3)
        source.reconfigure({f"{tmp_path}/*.log": ("jail",)})
        log.wait_lines(4)

    assert [name.rpartition("/")[2] for name, _, _ in log.texts()][2:] == ["one.log", "other.log"]
    assert log.reasons() == []


def test_a_missing_path_that_no_jail_names_any_more_is_no_problem(log, path):
    with running(log, {str(path): ("jail",)}) as source:
        log.wait(lambda: log.problems)
        source.reconfigure({})
        log.wait(lambda: len(log.problems) == 2)

    assert [sentence is None for _, sentence in log.problems] == [False, True]


def test_a_file_of_a_pattern_stays_followed_while_it_is_rotated(log, tmp_path):
    """Its last lines may not have been read when the pattern is matched."""
    path = tmp_path / "a.log"
    write(path, LONG % 0)
    with running(log, {f"{tmp_path}/*.log": ("jail",)}) as source:
        log.wait_lines(1)
        path.rename(tmp_path / "a.log.1")
        source.reconfigure({f"{tmp_path}/*.log": ("jail",)})
        write(tmp_path / "a.log.1", LONG % 1)
        log.wait_lines(2)

    assert ("removed", str(path)) not in log.events


@pytest.mark.parametrize("seed", range(int(os.environ.get("SEEDS", "12"))))
def test_random_events_and_each_line_counts_once(tmp_path, seed):
    """Reading stops anywhere. Random writes, unfinished lines and rotations happen in between."""
    rnd, log, path = random.Random(seed), Log(), tmp_path / "error.log"
    path.touch()
    written, unfinished, rotations = b"", b"", 0
    for number in range(200):
        match rnd.randrange(6):
            # A file that was rotated before any of it was read is not found at first sight.
            case 0 if log.cursors and not unfinished and path.stat().st_size:
                rotations += 1
                # The mtimes of files within one test may be equal, and those of real rotations are not.
                os.utime(path, (rotations, rotations))
                path.rename(f"{path}.{rotations}")
                path.touch()
            case 1:
                unfinished += b"begun %d " % number
                write(path, b"begun %d " % number)
            case _:
                line = b"%d %s\n" % (number, b"x" * rnd.choice([0, 50, 20_000]))
                written += unfinished + line
                unfinished = b""
                write(path, line)
        with reading(log, path) as tail:
            for _ in range(rnd.randrange(6)):
                tail.step()
    with reading(log, path) as tail:
        drain(tail)

    assert log.data == written
    assert set(log.reasons()) <= {"rotated"}
