"""Each line of a container's log is read once while kubelet or Docker rotates its files."""

import gzip
import itertools
import os
import random
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.core.events import Batch, Framing, Origin, Written
from sidecar.sources.base import MAX_LINE_BYTES
from sidecar.sources.files.container_folder import SETTLE_S, ContainerFolder
from sidecar.sources.files.cri_lines import STREAMS, ContainerLines
from sidecar.sources.files.cursor import FilePosition, LogCursor
from sidecar.sources.files.follower import FLOOD_READ_SIZE_BYTES, RETRY_DELAY_S, Follower
from sidecar.sources.files.segments import FIRST_SIGHT_BYTES, READ_SIZE_BYTES
from tests.sources.files.kubelet import Kubelet, pack, stamp
from tests.sources.recorder import Recorder

NAME = "blog/web-0/wordpress"
BAD_DISK = "/proc/self/mem"  # of which the kernel says EIO, as of a bad disk


class Log:
    """A follower of a container's folder."""

    def __init__(self, reading, folder, since):
        self._reading = reading
        self.finder = ContainerFolder(str(folder), since)
        state = reading.cursors.get("cri:1", b"")
        self.follower = Follower("cri:1", self.finder, ContainerLines(), reading.outputs, state)
        self.describe(NAME)

    def describe(self, name, unsupported=""):
        self.follower.describe(Origin("cri", name, "", ("jail",)), unsupported)

    def step(self):
        return self.follower.step(time.time() + self._reading.later)

    def look(self):
        """Do a step after files may have been renamed."""
        self.follower.files_changed = True
        return self.step()


class Reading(Recorder):
    """What was read of a log. `later`: for the follower it is this many seconds later."""

    def __init__(self):
        super().__init__()
        self.later = 10.0

    def emit(self, batch, cursor):
        super().emit(batch, cursor)
        self.lines[-batch.data.count(b"\n") :] = [
            (batch.origin.stream, line.split(b" ", 3)[3].decode()) for line in batch.data.splitlines()
        ]

    def texts(self, stream="stdout"):
        return [text for of, text in self.lines if of == stream]

    def reasons(self):
        return [
            each[-1] if each[0] == "reopened" else "gap"
            for each in self.events
            if each[0] in ("reopened", "gap")
        ]

    @contextmanager
    def of(self, folder, since=0.0):
        """Start a follower at the cursor that was stored last."""
        log = Log(self, folder, since)
        try:
            yield log
        finally:
            log.follower.close()


def drain(log):
    log.follower.files_changed = True
    while log.step():
        pass


@pytest.fixture
def read():
    return Reading()


@pytest.fixture
def kubelet(tmp_path):
    made = Kubelet(tmp_path)
    yield made
    made.close()


def test_lines_become_batches_as_they_are_written(read, kubelet):
    kubelet.write("one", "two")
    kubelet.put("2026-11-22T08:40:04Z stdout F thr")
    with read.of(kubelet.folder) as log:
        drain(log)
        kubelet.put("ee\n")
        kubelet.write("err", stream="stderr")
        drain(log)

    out, err = (Origin("cri", NAME, stream, ("jail",)) for stream in ("stdout", "stderr"))
    first = (
        f"{stamp(1_795_336_804_000_000_001)} stdout F one\n{stamp(1_795_336_804_000_000_002)} stdout F two\n"
    )
    assert read.batches == [
        Batch(out, first.encode(), Framing.CRI, Written.EARLIER),
        Batch(out, b"2026-11-22T08:40:04Z stdout F three\n", Framing.CRI, Written.JUST_NOW),
        Batch(
            err, f"{stamp(1_795_336_804_000_000_003)} stderr F err\n".encode(), Framing.CRI, Written.JUST_NOW
        ),
    ]
    assert read.events == [
        ("opened", NAME),
        ("read", NAME, "stdout", 2, len(first), 1_795_336_804.0),
        ("read", NAME, "stdout", 1, 36, 1_795_336_804.0),
        ("read", NAME, "stderr", 1, 44, 1_795_336_804.0),
        ("closed", NAME),
    ]


def test_reading_continues_at_the_last_stored_cursor_wherever_that_is(read, kubelet):
    """With partial lines, both streams, rotations and restarts of the container between the runs."""
    for number in range(60):
        kubelet.write(f"o{number}", "x" * 20_000 * (number % 3 == 0), stream="stdout")
        kubelet.write(f"e{number}", stream="stderr")
        if number % 7 == 0:
            kubelet.begin(f"begun{number}-")
            kubelet.write("between", stream="stderr")
        if number % 10 == 9:
            kubelet.rotate()
        with read.of(kubelet.folder) as log:
            drain(log)
        if number % 7 == 0:
            kubelet.write("done")

    outs = [text for text in read.texts() if text[:1] in ("o", "b")]
    wanted = [text for n in range(60) for text in ([f"o{n}", f"begun{n}-done"] if n % 7 == 0 else [f"o{n}"])]
    assert outs == wanted
    assert len([text for text in read.texts() if text[:1] == "x"]) == 20
    assert [text for text in read.texts("stderr") if text != "between"] == [f"e{n}" for n in range(60)]
    assert set(read.reasons()) == {"rotated"}


def test_a_stored_batch_is_not_repeated_if_the_next_batch_of_the_same_read_was_not_stored(read, kubelet):
    """The lines of both streams are read together and handed on one after the other."""
    kubelet.write("o1", "o2")
    kubelet.write("e1", stream="stderr")
    with read.of(kubelet.folder) as log:
        assert log.step()
        assert log.step()
    between = list(read.lines)
    kubelet.write("o3")
    with read.of(kubelet.folder) as log:
        drain(log)

    assert between == [("stdout", "o1"), ("stdout", "o2")]
    assert sorted(read.lines) == [("stderr", "e1"), ("stdout", "o1"), ("stdout", "o2"), ("stdout", "o3")]


def test_a_line_may_begin_in_one_file_and_end_in_the_next(read, kubelet):
    kubelet.begin("GET /")
    with read.of(kubelet.folder) as log:
        drain(log)
        kubelet.rename()
        drain(log)
        os.close(kubelet.reopen())
        kubelet.write("long")
        drain(log)

    assert read.texts() == ["GET /long"]


def test_a_line_that_begins_two_files_before_its_end_is_dropped(read, kubelet):
    kubelet.begin("GET /")
    with read.of(kubelet.folder) as log:
        for _ in range(2):
            drain(log)
            kubelet.rotate()
            kubelet.write("e", stream="stderr")
        drain(log)
        kubelet.write("forged", "one")
        drain(log)

    assert read.texts() == ["one"]
    assert [each for each in read.events if each[0] == "truncated"] == [("truncated", NAME, 1)]


def test_an_unfinished_line_is_not_joined_to_lines_after_a_restart(read, kubelet):
    kubelet.begin("GET /")
    kubelet.put("2026-11-22T08:40:04Z stdout F unfinished")
    with read.of(kubelet.folder) as log:
        drain(log)
        kubelet.restart()
        kubelet.write("one")
        drain(log)

    assert read.texts() == ["one"]


def test_a_renamed_file_is_read_until_nothing_is_written_to_it(read, kubelet):
    """containerd redirects stdout first and stderr a moment later."""
    kubelet.write("o1")
    read.later = 0.0
    with read.of(kubelet.folder) as log:
        drain(log)
        kubelet.rename()
        old = kubelet.reopen()
        kubelet.write("o2")
        drain(log)
        settling = (log.follower.settling, read.texts())
        os.write(old, b"2026-11-22T08:40:04Z stderr F late\n")
        drain(log)
        read.later = SETTLE_S + 0.1
        drain(log)
    os.close(old)

    assert settling == (True, ["o1"])
    assert (log.follower.settling, read.texts(), read.texts("stderr")) == (False, ["o1", "o2"], ["late"])


@pytest.mark.parametrize("packed", [False, True])
def test_several_rotations_between_two_runs_lose_nothing(read, kubelet, packed):
    kubelet.write("line 0 that is long enough", "for its file")
    with read.of(kubelet.folder) as log:
        drain(log)
    for number in range(1, 4):
        kubelet.write(f"{number}")
        kubelet.rotate()
    if packed:
        for path in kubelet.folder.glob("*-??????"):
            pack(path)
    kubelet.write("4")
    with read.of(kubelet.folder) as log:
        drain(log)

    assert read.texts()[2:] == ["1", "2", "3", "4"]
    assert read.reasons() == ["rotated"] * 3


def test_an_open_file_that_is_compressed_is_recognised(read, kubelet):
    kubelet.write("1")
    with read.of(kubelet.folder) as log:
        drain(log)
        for number in range(2, 4):
            kubelet.write(f"{number}")
            kubelet.rotate()
        kubelet.write("4")
        drain(log)

    assert read.texts() == ["1", "2", "3", "4"]
    assert read.reasons() == ["rotated", "rotated"]


def test_reading_continues_in_the_middle_of_a_compressed_file(read, kubelet):
    """The file is compressed between two runs."""
    texts = [f"{number} " + "x" * (number % 400) for number in range(5000)]
    kubelet.write(*texts)
    with read.of(kubelet.folder) as log:
        log.step()
        log.step()
    pack(kubelet.rename())
    os.close(kubelet.reopen())
    some = len(read.texts())
    while len(read.texts()) < 5000:
        with read.of(kubelet.folder) as log:
            assert log.step()
            assert log.step()

    assert 0 < some < 5000
    assert read.texts() == texts


def test_a_missing_file_is_reported_as_a_gap(read, kubelet):
    kubelet.write("1")
    with read.of(kubelet.folder) as log:
        drain(log)
    for number in range(2, 12):
        kubelet.write(f"rest of {number - 1}", f"{number}")
        kubelet.rotate()
    with read.of(kubelet.folder) as log:
        drain(log)

    (told, over) = read.problems
    assert told == (f"log {NAME}", ContainerFolder(str(kubelet.folder), 0.0).gap_advice(NAME))
    assert over == (f"log {NAME}", None)
    assert not read.critical
    assert read.reasons() == ["gap", "rotated", "rotated", "rotated"]
    assert read.texts() == ["1", "8", "rest of 8", "9", "rest of 9", "10", "rest of 10", "11"]


def test_files_that_are_removed_before_they_are_read_are_a_gap(read, kubelet):
    kubelet.write("1")
    with read.of(kubelet.folder) as log:
        drain(log)
        for number in range(2, 9):
            kubelet.write(f"{number}")
            kubelet.rotate()
        kubelet.write("9")
        drain(log)

    assert read.texts() == ["1", "2", "5", "6", "7", "8", "9"]
    assert read.reasons() == ["gap", "rotated", "rotated", "rotated", "rotated"]


def test_a_file_that_is_renamed_and_renamed_back_is_not_rotated(read, kubelet):
    """kubelet does so if the runtime refuses to reopen the log."""
    kubelet.write("1")
    with read.of(kubelet.folder) as log:
        drain(log)
        renamed = kubelet.rename()
        drain(log)
        renamed.rename(kubelet.path)
        kubelet.write("2")
        drain(log)

    assert (read.texts(), read.reasons()) == (["1", "2"], [])


@pytest.mark.parametrize("again", [0, 1, 20])
def test_a_truncated_file_is_read_from_its_start(read, kubelet, again):
    kubelet.write("1", "2")
    with read.of(kubelet.folder) as log:
        drain(log)
        os.truncate(kubelet.path, 0)
        kubelet.write(*["3"] * again)
        drain(log)
        kubelet.write("4")
        drain(log)

    assert read.texts() == ["1", "2", *["3"] * again, "4"]
    assert read.reasons() == ["truncated"]


def test_the_log_before_a_restart_is_read_first(read, kubelet):
    kubelet.write("1")
    kubelet.rotate()
    kubelet.write("2")
    kubelet.restart()
    kubelet.write("3")
    with read.of(kubelet.folder) as log:
        drain(log)

    assert read.texts() == ["1", "2", "3"]


def test_files_older_than_findtime_are_not_read_at_first_sight(read, kubelet):
    for number in range(3):
        kubelet.write(f"{number}", "more")
        kubelet.rotate()
    for at, path in enumerate(reversed(sorted(kubelet.folder.iterdir())[1:])):
        os.utime(path, (1000 - 100 * at,) * 2)
    with read.of(kubelet.folder, since=950) as log:
        drain(log)

    assert read.texts() == ["2", "more"]


def test_only_the_end_of_a_huge_file_is_read_at_first_sight(read, kubelet):
    with kubelet.path.open("r+b") as file:
        file.truncate(FIRST_SIGHT_BYTES)
    kubelet.put("begun\n")
    kubelet.write("rest", "whole")
    with read.of(kubelet.folder) as log:
        drain(log)

    assert read.texts() == ["whole"]


@pytest.mark.parametrize("size", [MAX_LINE_BYTES, READ_SIZE_BYTES - 40, READ_SIZE_BYTES, 3 * READ_SIZE_BYTES])
def test_a_very_long_line_is_cut_and_counted(read, kubelet, size):
    kubelet.write("before")
    with read.of(kubelet.folder) as log:
        kubelet.put("2026-11-22T08:40:04Z stdout F " + "y" * size)
        drain(log)
        kubelet.put("y" * 1000)
        drain(log)
        kubelet.put("y\n")
        kubelet.write("after")
        drain(log)

    assert read.texts() == ["before", "y" * (MAX_LINE_BYTES - 31), "after"]
    assert sum(each[2] for each in read.events if each[0] == "truncated") == 1


def test_batches_are_small_while_most_lines_are_failures(read, kubelet, monkeypatch):
    """Up to 256 batches may wait for the loop, each with its hits."""
    clock = itertools.count()
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))
    kubelet.write(*("x" * 1000 for _ in range(800)))
    kubelet.write("y" * 100_000, part=200_000)
    with read.of(kubelet.folder) as log:
        drain(log)

    first, *others, last = [len(batch.data) for batch in read.batches]
    assert FLOOD_READ_SIZE_BYTES < first <= READ_SIZE_BYTES
    assert {FLOOD_READ_SIZE_BYTES - 1100 < size <= FLOOD_READ_SIZE_BYTES for size in others[:-1]} == {True}
    assert (len(read.lines), last) == (801, MAX_LINE_BYTES)


def test_a_damaged_gzip_file_ends_where_the_damage_begins(read, kubelet, caplog):
    kubelet.write("1", *("x" * 100 for _ in range(3000)))
    pack(kubelet.rename())
    os.close(kubelet.reopen())
    kubelet.write("2")
    (packed,) = kubelet.folder.glob("*.gz")
    packed.write_bytes(packed.read_bytes()[:-400])
    os.utime(packed, (0, 0))
    with read.of(kubelet.folder) as log:
        drain(log)

    assert read.texts()[-1] == "2" and "is damaged" in caplog.text


@pytest.mark.parametrize("size", [4, 400, 4000])
def test_the_end_of_a_gzip_file_that_is_not_complete_is_read_later(read, kubelet, size):
    """Older kubelets rename it before it is complete."""
    texts = [f"{number} " + "x" * (number % 97) for number in range(3000)]
    kubelet.write(*texts)
    pack(kubelet.rename())
    os.close(kubelet.reopen())
    kubelet.write("last")
    (packed,) = kubelet.folder.glob("*.gz")
    whole = packed.read_bytes()
    packed.write_bytes(whole[:-size])
    with read.of(kubelet.folder) as log:
        drain(log)
        before = len(read.lines)
        packed.write_bytes(whole)
        drain(log)

    assert before < len(texts) or size == 4
    assert read.texts() == [*texts, "last"]


def test_unrecognised_lines_are_logged_once_and_dropped(read, kubelet, caplog):
    kubelet.put("hello\nworld\n")
    kubelet.write("1")
    with read.of(kubelet.folder) as log:
        drain(log)

    assert read.texts() == ["1"]
    assert caplog.messages == [
        f"the log of {NAME} has lines that no container runtime writes; they are ignored"
    ]


def test_a_link_to_dockers_file_is_followed_while_docker_rotates_it(read, tmp_path):
    """cri-dockerd makes such links."""
    docker = tmp_path / "docker" / ("a" * 64)
    docker.mkdir(parents=True)
    current = docker / f"{docker.name}-json.log"
    current.write_bytes(b'{"log":"one\\n","stream":"stdout","time":"2026-11-22T08:40:04.5Z"}\n')
    folder = tmp_path / "pods"
    folder.mkdir()
    (folder / "0.log").symlink_to(current)
    with read.of(folder) as log:
        drain(log)
        current.rename(f"{current}.1")
        current.write_bytes(b'{"log":"two ","stream":"stderr","time":"2026-11-22T08:40:04.6Z"}\n')
        drain(log)
        with current.open("ab") as file:
            file.write(b'{"log":"parts\\n","stream":"stderr","time":"2026-11-22T08:40:04.6Z"}\n')
        drain(log)
        elsewhere = log.finder.linked_folders()

    assert read.lines == [("stdout", "one"), ("stderr", "two parts")]
    assert (read.reasons(), elsewhere) == (["rotated"], {str(docker)})


def test_a_rotation_with_max_file_1_is_no_gap(read, tmp_path):
    current = tmp_path / f"{'a' * 64}-json.log"
    line = '{{"log":"{}\\n","stream":"stdout","time":"2026-11-22T08:40:04.5Z"}}\n'.format
    current.write_text(line("one"))
    with read.of(tmp_path) as log:
        drain(log)
        current.unlink()
        current.write_text(line("two"))
        drain(log)

    assert (read.texts(), read.reasons()) == (["one", "two"], ["rotated"])


def test_dockers_rotations_between_two_runs_lose_nothing(read, tmp_path):
    current = tmp_path / f"{'a' * 64}-json.log"
    line = '{{"log":"{}\\n","stream":"stdout","time":"2026-11-22T08:40:04.5Z"}}\n'.format
    current.write_text(line("1"))
    with read.of(tmp_path) as log:
        drain(log)
    with gzip.open(f"{current}.2.gz", "wt") as file:
        file.write(line("1") + line("2"))
    current.unlink()
    (tmp_path / f"{current.name}.1").write_text(line("3"))
    current.write_text(line("4"))
    with read.of(tmp_path) as log:
        drain(log)

    assert read.texts() == ["1", "2", "3", "4"]


def test_a_link_to_a_folder_that_is_not_mounted_is_a_problem(read, tmp_path):
    (tmp_path / "0.log").symlink_to("/nowhere/1-json.log")
    with read.of(tmp_path) as log:
        drain(log)
        drain(log)
        (tmp_path / "0.log").unlink()
        (tmp_path / "0.log").write_text("2026-11-22T08:40:04Z stdout F one\n")
        drain(log)

    sentence = (
        f"the log of {NAME} cannot be read: {tmp_path}/0.log points to /nowhere/1-json.log, which is not here. "
        "Mount that folder, too, read-only"
    )
    assert read.problems == [(f"log {NAME}", sentence), (f"log {NAME}", None)]
    assert read.texts() == ["one"]


def test_a_pipe_is_a_problem(read, tmp_path):
    os.mkfifo(tmp_path / "0.log")
    with read.of(tmp_path) as log:
        drain(log)

    ((_, sentence),) = read.problems
    assert (
        sentence
        == f"the log of {NAME} cannot be read ({tmp_path}/0.log: it is not a regular file): its lines are not checked until it can"
    )


def bad(path):
    why = "Input/output error"
    return f"the log of {NAME} cannot be read ({path}: {why}): its lines are not checked until it can"


def test_a_bad_disk_is_reported_once_and_tried_again_later(read, tmp_path):
    (tmp_path / "0.log").symlink_to(BAD_DISK)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with read.of(tmp_path) as log:
        for _ in range(3):
            read.later += RETRY_DELAY_S
            drain(log)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        assert read.problems == [(f"log {NAME}", bad(tmp_path / "0.log"))]
        assert read.events == [("opened", NAME), ("closed", NAME), ("unreadable", NAME)]
        (tmp_path / "0.log").unlink()
        (tmp_path / "0.log").write_bytes(b"2026-11-22T08:40:04Z stdout F one\n")
        drain(log)
        assert read.texts() == []
        read.later += RETRY_DELAY_S
        drain(log)

        assert read.texts() == ["one"]
        assert read.problems[-1] == (f"log {NAME}", None)
        assert read.events[-1] == ("opened", NAME)


def test_a_rotated_file_on_a_bad_disk_is_skipped(read, tmp_path):
    (tmp_path / "0.log.20261122-084004").symlink_to(BAD_DISK)
    (tmp_path / "0.log").write_bytes(b"2026-11-22T08:40:04Z stdout F one\n")
    with read.of(tmp_path) as log:
        for _ in range(4):
            drain(log)
            read.later += RETRY_DELAY_S

    assert read.texts() == ["one"]
    assert read.problems == [
        (f"log {NAME}", bad(tmp_path / "0.log.20261122-084004")),
        (f"log {NAME}", None),
    ]


def test_a_rotated_file_with_the_cursor_on_a_bad_disk_is_a_gap(read, tmp_path):
    (tmp_path / "0.log.20261122-084004").symlink_to(BAD_DISK)
    (tmp_path / "0.log").write_bytes(b"2026-11-22T08:40:04Z stdout F one\n")
    read.cursors["cri:1"] = LogCursor(FilePosition(Path(BAD_DISK).stat().st_ino)).encode(STREAMS)
    with read.of(tmp_path) as log:
        for _ in range(4):
            drain(log)
            read.later += RETRY_DELAY_S

    assert (read.texts(), read.reasons()) == (["one"], ["gap"])
    assert [sentence for _, sentence in read.problems] == [
        bad(tmp_path / "0.log.20261122-084004"),
        None,
        ContainerFolder(str(tmp_path), 0.0).gap_advice(NAME),
        None,
    ]


def test_an_older_file_on_a_bad_disk_does_not_matter(read, kubelet):
    kubelet.write("one")
    with read.of(kubelet.folder) as log:
        drain(log)
    (kubelet.folder / "0.log.20261122-084004").symlink_to(BAD_DISK)
    kubelet.write("two")
    with read.of(kubelet.folder) as log:
        drain(log)

    assert (read.texts(), read.reasons(), read.problems) == (["one", "two"], [], [])


def test_a_folder_in_place_of_the_log_is_a_problem_until_it_is_gone(read, kubelet):
    kubelet.write("one")
    with read.of(kubelet.folder) as log:
        drain(log)
        kubelet.path.rename(kubelet.folder / "0.log.20261122-084004")
        kubelet.path.mkdir()
        drain(log)
        sentence = f"the log of {NAME} cannot be read ({kubelet.path}: it is not a regular file): its lines are not checked until it can"
        assert read.problems == [(f"log {NAME}", sentence)]
        kubelet.path.rmdir()
        kubelet.path.write_bytes(b"2026-11-22T08:40:04Z stdout F two\n")
        read.later += RETRY_DELAY_S
        drain(log)

    assert read.texts() == ["one", "two"]
    assert read.problems[1:] == [(f"log {NAME}", None)]


def test_the_problem_without_permission_says_what_to_change(tmp_path):
    error = PermissionError(13, "Permission denied", f"{tmp_path}/0.log")
    sentence = ContainerFolder(str(tmp_path), 0.0).explain(NAME, error)

    assert sentence == (
        f"the log of {NAME} cannot be read ({tmp_path}/0.log: Permission denied). Run as uid 0; where SELinux is on, as a "
        "type that may read containers' logs (seLinuxOptions: type container_logreader_t, or spc_t)"
    )


def test_a_batch_that_raises_is_not_repeated(read, kubelet):
    kubelet.write("poison")
    kubelet.write("e", stream="stderr")
    read.failures_left = 1
    with read.of(kubelet.folder) as log:
        with pytest.raises(RuntimeError):
            drain(log)
        log.follower.close()
        drain(log)

    assert read.lines == [("stderr", "e")]


def test_a_new_name_withdraws_what_was_reported_under_the_old_one(read, kubelet):
    with read.of(kubelet.folder) as log:
        log.describe("blog/web-1/wordpress")

    assert read.events == [("removed", NAME)]


def test_an_unsupported_log_driver_is_a_problem_that_is_not_critical(read, kubelet):
    with read.of(kubelet.folder) as log:
        for _ in range(2):
            log.describe(NAME, "cannot be read")

    assert (read.problems, read.critical, read.events) == (
        [(f"log {NAME}", "cannot be read")],
        False,
        [("unreadable", NAME)],
    )


def test_the_cursor_is_the_one_that_was_stored(read, kubelet):
    kubelet.write("1")
    with read.of(kubelet.folder) as log:
        drain(log)
        cursor = log.follower.cursor

    assert {cursor.key: cursor.state} == read.cursors


@pytest.mark.parametrize("seed", range(int(os.environ.get("SEEDS", "12"))))
def test_random_events_and_each_line_counts_once(tmp_path, seed):
    """Reading stops anywhere. Random writes, rotations and restarts of the container happen in between."""
    rnd, read, kubelet = random.Random(seed), Reading(), Kubelet(tmp_path)
    written, begun, behind = {"stdout": [], "stderr": []}, {}, 0
    carried = False  # was some line begun all the time since the last rotation? Such lines go on in one file, not in two
    for number in range(150):
        stream = rnd.choice(["stdout", "stderr"])
        match rnd.randrange(8):
            case 0 if stream not in begun:
                begun[stream] = f"{number} begun "
                kubelet.begin(begun[stream], stream)
            case 1 if behind < 2 and not carried and kubelet.path.stat().st_size:
                kubelet.rotate()
                behind, carried = behind + 1, bool(begun)
            case 2 if behind < 2 and not begun:
                kubelet.restart()
                behind += 1
            case _:
                text = f"{number} " + "x" * rnd.choice([0, 50, 20_000])
                kubelet.write(text, stream=stream)
                written[stream].append(begun.pop(stream, "") + text)
        carried = carried and bool(begun)
        with read.of(kubelet.folder) as log:
            if rnd.random() < 0.4:
                drain(log)
                behind = 0
            for _ in range(rnd.randrange(4)):
                log.look()
    with read.of(kubelet.folder) as log:
        drain(log)
    kubelet.close()

    for stream, texts in written.items():
        assert [text[:20] for text in read.texts(stream)] == [text[:20] for text in texts]
        assert read.texts(stream) == texts
    assert set(read.reasons()) <= {"rotated"}


def test_after_a_gap_lines_from_before_a_restart_are_not_read_again(read, kubelet):
    """kubelet removes the oldest file of the running container while it keeps those of the one before."""
    kubelet.write("dead")
    kubelet.restart()
    kubelet.write("1")
    with read.of(kubelet.folder) as log:
        drain(log)
    for number in range(2, 9):
        kubelet.write(f"rest of {number - 1}", f"{number}")
        kubelet.rotate()
    with read.of(kubelet.folder) as log:
        drain(log)

    assert read.texts() == ["dead", "1", "5", "rest of 5", "6", "rest of 6", "7", "rest of 7", "8"]
    assert read.reasons() == ["rotated", "gap", "rotated", "rotated", "rotated"]
