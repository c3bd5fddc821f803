import os
import shutil
import subprocess
import sys
from contextlib import closing

import pytest

from sidecar.alerts import journal as module
from sidecar.alerts.compose import described, problem
from sidecar.alerts.journal import Journal
from sidecar.alerts.occurrences import Digest
from tests.alerts.support import ban

PROBLEM = problem("docker", "no daemon")


def loaded(folder):
    with closing(Journal(folder)) as journal:
        return journal.load(), journal.confirmed("slack")


def files(folder):
    return sorted(path.name for path in folder.glob("*.jsonl"))


def test_messages_of_each_kind_are_found_again(tmp_path):
    digest = Digest()
    digest.add([ban(1), ban(2, dry_run=True)])
    hostile = ban(3, lines=("bytes \udcff and \x1b[2J", "{]"))
    with closing(Journal(tmp_path)) as journal:
        journal.load()
        first = journal.append([PROBLEM, hostile, digest])

    ((one, notice), (two, occurrence), (three, counted)), _ = loaded(tmp_path)
    assert (first, one, two, three) == (1, 1, 2, 3)
    assert (notice, occurrence) == (PROBLEM, hostile)
    assert (counted.events, counted.first, counted.addresses) == (
        digest.events,
        digest.first,
        digest.addresses,
    )
    assert described(occurrence) == described(hostile)


def test_how_far_a_sender_came_is_found_again(tmp_path):
    with closing(Journal(tmp_path)) as journal:
        journal.load()
        assert journal.confirmed("slack") is None
        assert journal.begin("slack") == 0
        journal.append([PROBLEM, PROBLEM])
        journal.confirm("slack", 1)

    assert loaded(tmp_path)[1] == 1


def test_a_killed_process_loses_nothing(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from sidecar.alerts.journal import Journal\n"
        "from sidecar.alerts.compose import problem\n"
        "journal = Journal(Path(sys.argv[1])); journal.load(); journal.begin('slack')\n"
        "[journal.append([problem('docker', str(n))]) for n in range(100)]; journal.confirm('slack', 40)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)

    events, confirmed = loaded(tmp_path)
    assert (done.returncode, confirmed) == (-9, 40)
    assert [notice.fields[0].value for _, notice in events] == [str(n) for n in range(100)]


@pytest.mark.parametrize("cut", range(2, 60, 7))
def test_a_torn_line_is_skipped_and_the_next_run_goes_on(tmp_path, cut):
    with closing(Journal(tmp_path)) as journal:
        journal.load()
        journal.begin("slack")
        journal.append([PROBLEM, PROBLEM])
    (path,) = tmp_path.glob("*.jsonl")
    os.truncate(path, path.stat().st_size - cut)

    with closing(Journal(tmp_path)) as journal:
        assert [number for number, _ in journal.load()] == [1]
        journal.append([PROBLEM])
    assert [number for number, _ in loaded(tmp_path)[0]] == [1, 2]


def test_segments_that_everyone_has_confirmed_are_removed(tmp_path):
    with closing(Journal(tmp_path, segment_bytes=500)) as journal:
        journal.load()
        journal.begin("slack")
        journal.begin("mail")
        for _ in range(50):
            journal.append([PROBLEM])
        many = len(files(tmp_path))
        assert many > 5
        journal.confirm("slack", 50)
        assert len(files(tmp_path)) >= many
        journal.confirm("mail", 50)

        assert len(files(tmp_path)) == 1
    assert loaded(tmp_path)[1] == 50


def test_a_sender_that_is_gone_keeps_nothing(tmp_path):
    with closing(Journal(tmp_path, segment_bytes=500)) as journal:
        journal.load()
        journal.begin("slack")
        journal.begin("mail")
        journal.retain(["slack"])
        for _ in range(50):
            journal.append([PROBLEM])
        journal.confirm("slack", 50)

        assert len(files(tmp_path)) == 1


def test_what_nobody_accepts_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 20_000)
    with closing(Journal(tmp_path, segment_bytes=1_000)) as journal:
        journal.load()
        journal.begin("slack")
        for _ in range(1_000):
            journal.append([PROBLEM])

    assert sum(path.stat().st_size for path in tmp_path.glob("*.jsonl")) < 22_000
    assert loaded(tmp_path)[0][-1][0] == 1_000


def test_numbers_go_on_where_everything_was_removed(tmp_path):
    for start in (1, 4, 7):
        with closing(Journal(tmp_path)) as journal:
            journal.load()
            journal.begin("slack")
            assert journal.append([PROBLEM] * 3) == start
            journal.confirm("slack", start + 2)


def test_a_folder_that_cannot_be_written_is_an_error_and_the_numbers_go_on(tmp_path):
    (tmp_path / "file").write_text("")
    with closing(Journal(tmp_path / "file" / "alerts")) as journal:
        with pytest.raises(OSError):
            journal.load()
        with pytest.raises(OSError):
            journal.append([PROBLEM])
        assert journal.last == 1


def test_a_folder_that_is_removed_is_made_again(tmp_path):
    with closing(Journal(tmp_path / "alerts", segment_bytes=0)) as journal:
        journal.load()
        journal.begin("slack")
        shutil.rmtree(tmp_path / "alerts")
        journal.append([PROBLEM])

    assert [number for number, _ in loaded(tmp_path / "alerts")[0]] == [1]


def test_a_full_disk_spoils_one_line(tmp_path, monkeypatch):
    with closing(Journal(tmp_path)) as journal:
        journal.load()
        journal.begin("slack")
        journal.append([PROBLEM])
        write = os.write
        monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:20]))
        with pytest.raises(OSError, match="the disk is full"):
            journal.append([PROBLEM])
        monkeypatch.undo()
        journal.append([PROBLEM])

    assert [number for number, _ in loaded(tmp_path)[0]] == [1, 3]


def test_without_a_folder_nothing_is_kept():
    journal = Journal(None)

    assert journal.load() == []
    assert journal.append([PROBLEM]) == 1
    journal.confirm("slack", 1)
    journal.sync()
    journal.close()


def test_only_root_reads_it(tmp_path):
    with closing(Journal(tmp_path / "alerts")) as journal:
        journal.load()
        journal.append([PROBLEM])
        journal.sync()
    (path,) = (tmp_path / "alerts").iterdir()

    assert [oct(each.stat().st_mode)[-3:] for each in (tmp_path / "alerts", path)] == ["700", "600"]
