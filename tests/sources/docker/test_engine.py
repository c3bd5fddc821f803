"""The same promises with a real Docker Engine; what `docker logs` says is the truth."""

import os
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from sidecar.core.events import Topology
from sidecar.core.jail import Jail
from sidecar.sources.base import NullLogListener
from tests.bed import Bed, daemon
from tests.sources.docker import running
from tests.sources.recorder import Recorder
from tests.support.waiting import wait_until

IMAGE = "debian:trixie-slim"
JAILS = (Jail("wordpress"), Jail("named", containers=("new-*",)))
WATCHED = ("--label", "wp-sidecar.enable=true")
# A line on each stream about every two milliseconds, counted from 1 at each start.
WRITER = "n=0; while :; do n=$((n+1)); echo out $n; echo err $n >&2; sleep 0.002; done"
UNTIL_STOPPED = "trap exit TERM; while :; do sleep 0.1; done"


@pytest.fixture(scope="module", params=[daemon.bare, daemon.other], ids=["own", "other"])
def engine(request):
    """This machine's own Docker, and the other Debian release's."""
    with Bed.up(daemon=request.param()) as bed:
        yield bed.engine


@pytest.fixture(autouse=True)
def nothing_runs(engine):
    yield
    engine.clear()


@pytest.fixture
def recorder():
    return Recorder()


@contextmanager
def following(engine, recorder, **options):
    stand_in = SimpleNamespace(url=engine.base_url)
    with running.following(
        stand_in, recorder, JAILS, **{"idle_timeout_s": 2.0, "list_period_s": 30.0, **options}
    ):
        yield


def run(engine, name, script, *options, command="sh"):
    shell = [command, "-c", script]
    engine.cli("run", "--detach", "--init", "--name", name, *WATCHED, *options, IMAGE, *shell)


def truth(engine, name):
    """The lines of both streams, by Docker's own command."""
    said = engine.cli("logs", name)
    return {"stdout": said.stdout.splitlines(), "stderr": said.stderr.splitlines()}


def seen(recorder, name):
    found = {"stdout": [], "stderr": []}
    for origin, stream, text in list(recorder.lines):
        if origin == name:
            found[stream].append(text.decode())
    return found


def all_of_it(engine, recorder, *names):
    """Stops the containers, and compares when all lines should be here."""
    engine.cli("stop", "--time", "2", *names)
    wanted = {name: truth(engine, name) for name in names}
    total = sum(len(lines) for streams in wanted.values() for lines in streams.values())
    recorder.wait(lambda: len(recorder.lines) >= total)
    assert {name: seen(recorder, name) for name in names} == wanted
    return total


def test_lines_of_both_streams(engine, recorder):
    with following(engine, recorder):
        run(engine, "site", f"for n in 1 2 3; do echo out $n; echo err $n >&2; done; {UNTIL_STOPPED}")
        recorder.wait_lines(6)

        assert seen(recorder, "site") == {
            "stdout": ["out 1", "out 2", "out 3"],
            "stderr": ["err 1", "err 2", "err 3"],
        }
        all_of_it(engine, recorder, "site")


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_restarts_and_recreation_lose_and_double_nothing(engine, recorder, driver):
    with following(engine, recorder):
        for _ in range(3):
            run(engine, "site", WRITER, "--log-driver", driver)
            for _ in range(3):
                engine.cli("restart", "--time", "0", "site")
            before = len(recorder.lines)
            assert all_of_it(engine, recorder, "site") > before - 1
            engine.cli("rm", "--force", "site")
            recorder.wait(lambda: ("removed", "site") in recorder.events)
            recorder.events.clear()
            recorder.lines.clear()


def test_a_killed_source_goes_on_where_its_cursor_was_stored(engine, recorder):
    for name in ("one", "two", "three"):
        run(engine, name, WRITER)
    for rounds in range(8):
        with following(engine, recorder):
            count = len(recorder.lines)
            recorder.wait(lambda count=count, rounds=rounds: len(recorder.lines) > count + 40 * rounds)
    with following(engine, recorder):
        all_of_it(engine, recorder, "one", "two", "three")


def test_a_restart_of_the_daemon_loses_and_doubles_nothing(engine, recorder):
    with following(engine, recorder):
        for name in ("one", "two"):
            run(engine, name, WRITER, "--restart", "always")
        for _ in range(2):
            count = len(recorder.lines)
            recorder.wait(lambda count=count: len(recorder.lines) > count + 300)
            engine.stop()
            engine.start()
        count = len(recorder.lines)
        recorder.wait(lambda: len(recorder.lines) > count + 300)
        all_of_it(engine, recorder, "one", "two")


def test_an_idle_log_is_read_on(engine, recorder):
    with following(engine, recorder, idle_timeout_s=0.3):
        run(engine, "site", "echo one; sleep 2; echo two; sleep 2; echo three; sleep 60")
        recorder.wait_lines(3)

        all_of_it(engine, recorder, "site")


def test_the_log_of_a_container_with_a_tty_is_read(engine, recorder):
    with following(engine, recorder):
        run(engine, "site", f"echo one; echo two >&2; {UNTIL_STOPPED}", "--tty")
        recorder.wait_lines(2)

    assert seen(recorder, "site") == {"stdout": ["one", "two"], "stderr": []}


FORGED = "192.0.2.99 - - Authentication failure for admin from 192.0.2.99"
# Docker's part is full exactly where the forged text begins, with and without a terminal.
FORGER = f"""head -c 16384 /dev/zero | tr '\\0' x; echo '{FORGED}'; echo next; {UNTIL_STOPPED}"""


@pytest.mark.parametrize("options", [[], ["--tty"], ["--log-driver", "local"]], ids=["plain", "tty", "local"])
def test_what_follows_dockers_cut_is_no_line(engine, recorder, options):
    with following(engine, recorder):
        run(engine, "site", FORGER, *options)

        assert recorder.wait_lines(2) == [b"x" * 16_384 + FORGED.encode(), b"next"]


def test_what_follows_dockers_cut_is_no_line_when_the_log_is_reopened_there(engine, recorder):
    script = f"head -c 16384 /dev/zero | tr '\\0' x; sleep 2; echo '{FORGED}'; echo next; {UNTIL_STOPPED}"
    with following(engine, recorder, idle_timeout_s=0.2):
        run(engine, "site", f"echo first; {script}")

        assert recorder.wait_lines(3) == [b"first", b"x" * 16_384 + FORGED.encode(), b"next"]


def test_a_renamed_container_is_read_on_under_its_new_name(engine, recorder):
    with following(engine, recorder):
        run(engine, "site", WRITER)
        recorder.wait(lambda: seen(recorder, "site")["stdout"])
        engine.cli("rename", "site", "new-site")
        recorder.wait(lambda: seen(recorder, "new-site")["stdout"])

        engine.cli("stop", "--time", "0", "new-site")
        wanted = truth(engine, "new-site")
        recorder.wait(lambda: len(recorder.lines) >= sum(map(len, wanted.values())))
    old, new = seen(recorder, "site"), seen(recorder, "new-site")
    assert {stream: old[stream] + new[stream] for stream in wanted} == wanted
    assert recorder.batches[-1].origin.jails == ("wordpress", "named")


# Docker keeps what it sends to syslog in a cache of its own, unless told otherwise.
UNREADABLE = [
    ("none", ()),
    ("syslog", ("--log-opt", "syslog-address=udp://127.0.0.1:9", "--log-opt", "cache-disabled=true")),
]


@pytest.mark.parametrize(("driver", "options"), UNREADABLE)
def test_a_log_that_cannot_be_read_is_named(engine, recorder, driver, options):
    with following(engine, recorder):
        run(engine, "site", WRITER, "--log-driver", driver, *options)
        recorder.wait(lambda: any(sentence for _, sentence in recorder.problems))

    sentence = (
        f"container site is not watched: its log driver {driver} cannot be read. "
        "Use json-file, local or journald, or leave Docker's own cache on (cache-disabled=false)"
    )
    assert [sentence for _, sentence in recorder.problems if sentence] == [sentence]


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("json-file", ("mode=non-blocking", "max-buffer-size=1m")),
        # What these add to each record is no part of the line.
        ("json-file", ("tag={{.Name}}", "labels=wp-sidecar.enable", "env=HOME")),
        ("json-file", ("compress=true", "max-size=20k", "max-file=5")),
        ("local", ("mode=non-blocking",)),
        ("local", ("compress=true", "max-size=20k", "max-file=5")),
    ],
)
def test_a_log_with_options_is_read(engine, recorder, driver, options):
    """Its rotated files too, where they are compressed, when the log is opened."""
    given = [part for option in options for part in ("--log-opt", option)]
    run(engine, "site", f"seq 600; {UNTIL_STOPPED}", "--log-driver", driver, *given)
    wait_until(lambda: engine.cli("logs", "--tail", "1", "site").stdout.strip() == "600")
    with following(engine, recorder):
        recorder.wait_lines(600)
        engine.cli("exec", "site", "sh", "-c", "seq 601 700 > /proc/1/fd/1")
        recorder.wait_lines(700)

    assert seen(recorder, "site")["stdout"] == [str(number) for number in range(1, 701)]


def test_a_log_that_is_sent_elsewhere_is_read_from_dockers_cache(engine, recorder):
    with following(engine, recorder):
        run(engine, "site", WRITER, "--log-driver", "syslog", "--log-opt", "syslog-address=udp://127.0.0.1:9")
        recorder.wait_lines(100)

        assert all_of_it(engine, recorder, "site") >= 100


# A NUL, bytes that are no UTF-8 (json-file replaces them), a carriage return at the end and one within, an empty line.
ODD = r"printf 'a\000b\n\377\376c\nd\r\ne\rf\n\ng\n'"


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_a_line_of_any_bytes_is_one_line(engine, recorder, driver):
    replaced = "\N{REPLACEMENT CHARACTER}".encode() * 2 if driver == "json-file" else b"\xff\xfe"
    with following(engine, recorder):
        run(engine, "site", f"{ODD}; {UNTIL_STOPPED}", "--log-driver", driver)
        read = recorder.wait_lines(6)

    assert read == [b"a\0b", replaced + b"c", b"d\r", b"e\rf", b"", b"g"]


def test_networks_and_ports_are_published(engine, recorder):
    with following(engine, recorder):
        recorder.wait(lambda: recorder.topologies)
        engine.cli("network", "create", "--subnet", "198.51.100.0/24", "--gateway", "198.51.100.1", "extra")
        recorder.wait(lambda: "198.51.100.0/24" in recorder.topologies[-1].networks)
        run(engine, "site", UNTIL_STOPPED, "--network", "extra", "--publish", "8081:80")
        recorder.wait(lambda: recorder.topologies[-1].published == {8081})
        engine.cli("rm", "--force", "site")
        engine.cli("network", "rm", "extra")
        recorder.wait(lambda: recorder.topologies[-1] == recorder.topologies[0])

    assert recorder.topologies[0].networks[0].startswith("172.")
    assert recorder.topologies[0] == Topology(recorder.topologies[0].networks)


def test_rotation_under_load_loses_and_doubles_nothing(engine, recorder):
    """With room for the files: what Docker itself throws away is not there to be read.

    20.10's own `docker logs --follow` shows thousands of these lines twice, and on a busy machine both Dockers leave
    thousands of them out.
    """
    options = ("--log-opt", "max-size=100k", "--log-opt", "max-file=50")
    bursts = "for i in $(seq 1 20); do seq $((i*1000)) $((i*1000+999)); sleep 0.1; done"
    with following(engine, recorder):
        run(engine, "site", f"{bursts}; {UNTIL_STOPPED}", *options)
        recorder.wait(lambda: len(recorder.lines) >= 20_000)
        engine.cli("stop", "--time", "2", "site")

    # What Docker left out is read later than what follows it.
    assert sorted(seen(recorder, "site")["stdout"]) == sorted(truth(engine, "site")["stdout"])
    assert len(recorder.lines) == 20_000
    assert gaps(recorder) == (0, [])


SMALL = ("--log-opt", "max-size=10k", "--log-opt", "max-file=2")  # some 200 lines


def say(engine, name, count):
    """So many lines into its standard output, and into Docker's log."""
    engine.cli("exec", name, "sh", "-c", f"seq {count} > /proc/1/fd/1")
    last = str(count)
    wait_until(lambda: engine.cli("logs", "--tail", "1", name).stdout.strip() == last)


def gaps(recorder):
    """How many gaps were counted, and the sentences that were reported."""
    counted = [each for each in recorder.events if each[0] == "gap"]
    return len(counted), [sentence for _, sentence in recorder.problems if sentence]


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_lines_that_docker_deleted_while_nobody_read_are_one_gap(engine, recorder, driver):
    run(engine, "site", UNTIL_STOPPED, "--log-driver", driver, *SMALL)
    with following(engine, recorder):
        say(engine, "site", 50)
        recorder.wait_lines(50)
    say(engine, "site", 3000)
    with following(engine, recorder):
        recorder.wait(lambda: recorder.lines[-1] == ("site", "stdout", b"3000"))
        say(engine, "site", 20)
        recorder.wait(lambda: recorder.lines[-1] == ("site", "stdout", b"20"))

    left = truth(engine, "site")["stdout"]
    assert seen(recorder, "site")["stdout"][50:] == left
    sentence = (
        "the log of container site no longer has what was read last: lines that were rotated away or truncated before "
        "they were read do not count. "
        "Give its log more files (max-file) or larger ones (max-size)"
    )
    assert gaps(recorder) == (1, [sentence])


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_lines_that_docker_still_has_are_no_gap(engine, recorder, driver):
    """Nothing, a line, and a rotation that leaves what was read last."""
    run(engine, "site", UNTIL_STOPPED, "--log-driver", driver, *SMALL)
    for count in (0, 1, 0, 0, 90, 60, 1):
        before = len(recorder.lines)
        if count:
            say(engine, "site", count)
        with following(engine, recorder):
            recorder.wait(lambda: ("opened", "site") in recorder.events)
            recorder.wait_lines(before + count)
            time.sleep(0.2)  # whatever should not come has time to
        recorder.events.clear()
        assert gaps(recorder) == (0, [])
        assert len(recorder.lines) == before + count


def log_file(engine, name, driver):
    """The file of the container's log, on this host."""
    cid = engine.cli("inspect", "--format", "{{.Id}}", name).stdout.strip()
    folder = Path(engine.cli("info", "--format", "{{.DockerRootDir}}").stdout.strip(), "containers", cid)
    return folder / f"{cid}-json.log" if driver == "json-file" else folder / "local-logs" / "container.log"


def append_zeros(path):
    """What a power loss leaves (moby#53631)."""
    with path.open("ab") as file:
        file.write(bytes(4096))


def cut_record(path):
    """What a full disk leaves (moby#29511)."""
    os.truncate(path, path.stat().st_size - 30)


def zero_end(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - 130)
        file.write(bytes(130))


# Lines that are asked for by writing their number into a pipe. The first line of a start may be joined to half a record,
# and then Docker cannot read it.
ON_DEMAND = "echo start; rm -f /fifo; mkfifo /fifo; exec 3<>/fifo; while read n <&3; do echo $n; done"


def numbers_read(recorder):
    return [int(line) for line in seen(recorder, "site")["stdout"] if line != "start"]


def await_pipe(engine):
    """Wait until the container has made its pipe: before that, a shell would make a file of that name."""
    wait_until(lambda: engine.cli("exec", "site", "test", "-p", "/fifo", check=False).returncode == 0)


def ask(engine, recorder, numbers):
    """Have these lines written, and wait until all were read."""
    count = len(recorder.lines)
    await_pipe(engine)
    engine.cli(
        "exec", "site", "sh", "-c", f"for n in {' '.join(map(str, numbers))}; do echo $n; done > /fifo"
    )
    recorder.wait(lambda: len(recorder.lines) >= count + len(numbers))


@pytest.mark.parametrize("damage", [append_zeros, cut_record, zero_end])
def test_lines_behind_a_damaged_part_are_read_within_seconds(engine, recorder, damage):
    run(engine, "site", ON_DEMAND)
    with following(engine, recorder):
        ask(engine, recorder, range(20))
        engine.cli("stop", "--time", "0", "site")
        damage(log_file(engine, "site", "json-file"))
        engine.cli("start", "site")
        for first in (20, 25, 30):
            ask(engine, recorder, range(first, first + 5))
        ask(engine, recorder, range(35, 300))

    assert numbers_read(recorder) == list(range(300))
    assert gaps(recorder)[0] == 0
    assert not recorder.critical


@pytest.mark.parametrize("options", [(), ("--log-opt=max-size=2m", "--log-opt=max-file=5")])
def test_lines_after_a_truncation_are_read_within_seconds(engine, recorder, options):
    """As logrotate does with copytruncate (moby#45728)."""
    run(engine, "site", ON_DEMAND, *options)
    with following(engine, recorder):
        ask(engine, recorder, range(20))
        for first in (20, 25, 30):
            os.truncate(log_file(engine, "site", "json-file"), 0)
            ask(engine, recorder, range(first, first + 5))

    assert numbers_read(recorder) == list(range(35))
    assert gaps(recorder)[0] == 0


def test_lines_right_behind_zeros_are_read_after_a_truncation(engine, recorder):
    """When a log was rotated, Docker writes on where it was in the truncated file. Old ones do not show these lines."""
    run(engine, "site", ON_DEMAND, "--log-opt=max-size=20k", "--log-opt=max-file=5")
    with following(engine, recorder):
        ask(engine, recorder, range(300))
        os.truncate(log_file(engine, "site", "json-file"), 0)
        burst = "for n in $(seq 300 499); do echo $n; done > /fifo"
        engine.cli("exec", "site", "sh", "-c", burst)
        # The first of them is destroyed: it is on one line of the file with the zeros.
        recorder.wait(lambda: {*range(500)} - {*numbers_read(recorder)} <= {300})
        engine.cli("stop", "--time", "0", "site")

    assert len(numbers_read(recorder)) == len({*numbers_read(recorder)})
    assert gaps(recorder)[0] == 0


def test_a_deleted_log_is_read_as_long_as_the_container_runs(engine, recorder):
    run(engine, "site", ON_DEMAND)
    with following(engine, recorder):
        ask(engine, recorder, range(5))
        log_file(engine, "site", "json-file").unlink()
        ask(engine, recorder, range(5, 10))
        recorder.wait(lambda: any("cannot be opened again" in (text or "") for _, text in recorder.problems))
        ask(engine, recorder, range(10, 15))
        engine.cli("restart", "--time", "0", "site")
        ask(engine, recorder, range(15, 20))

    assert numbers_read(recorder) == list(range(20))


def test_short_lived_containers_are_all_read(engine, recorder):
    """One that ends between two lists, and is not removed."""
    with following(engine, recorder):
        recorder.wait(lambda: recorder.topologies)
        for number in range(25):
            run(engine, f"job-{number}", f"echo {number}")
        recorder.wait_lines(25)

    assert sorted(int(text) for _, _, text in recorder.lines) == list(range(25))


def test_containers_that_are_removed_when_they_end_are_read(engine, recorder):
    """With `--rm`, the log goes with the container, which here lives for no time at all."""
    with following(engine, recorder):
        recorder.wait(lambda: recorder.topologies)
        for number in range(20):
            run(engine, f"job-{number}", f"echo {number}; echo end", "--rm")
        recorder.wait_lines(40)
        wait_until(lambda: not engine.cli("ps", "--all", "--quiet").stdout)

    lines = sorted((name, text) for name, _, text in recorder.lines)
    assert lines == sorted((f"job-{n}", text) for n in range(20) for text in (b"%d" % n, b"end"))


def test_a_long_log_is_read_fast(engine, capsys):
    lines = 300_000
    # an access log's line
    line = '203.0.113.11 - - [22/Nov/2026:08:57:49 +0000] "GET /wp-content/themes/x/style.css HTTP/1.1" 200 5234 "-" "Mozilla/5.0"'
    run(engine, "site", f"yes '{line}' | head -n {lines}; {UNTIL_STOPPED}")
    total, done = 0, threading.Event()

    def emit(batch, _cursor):
        nonlocal total
        total += batch.data.count(b"\n")
        if total == lines:
            done.set()

    wait_until(lambda: engine.cli("logs", "--tail", "1", "site").stdout, timeout=60, interval=0.05)
    size = lines * (len(line) + 1)
    wait_until(lambda: len(engine.cli("logs", "site").stdout) >= size, timeout=120, interval=0.2)
    recorder = Recorder()
    recorder.emit = emit
    source = running.docker_source(engine.base_url, recorder, JAILS, listener=NullLogListener())
    thread = threading.Thread(target=source.run)
    began, cpu = time.perf_counter(), time.process_time()
    thread.start()
    assert done.wait(60)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    source.close()
    thread.join(60)

    with capsys.disabled():
        sys.stdout.write(
            f"\n{lines / took:,.0f} lines/s from a real engine, {used / lines * 1e6:.2f} us of ours a line\n"
        )
    assert total == lines
    # It is 2 us. A processor that is shared makes it more.
    assert used / lines < 50e-6
