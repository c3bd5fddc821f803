import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban, Turn
from sidecar.core.jail import Jail
from sidecar.firewall import Firewall, Monitor, NoPermission
from sidecar.firewall.monitor import own_ports
from tests.support.waiting import wait_until

BANS = tuple(Ban("login", Address(f"203.0.113.{n}"), 0.0, 9e9, "failures") for n in range(200))


@pytest.fixture
def firewall(host):  # it is entered
    with closing(Firewall([Jail("login")])) as firewall:
        firewall.start(BANS[:3], time.time())
        yield firewall


@pytest.fixture
def told(firewall):  # it is running before someone watches
    """What a monitor told, each as one item; a monitor tells once when it begins."""
    told = queue.Queue()
    monitor = Monitor(lambda: told.put("changed"))
    thread = threading.Thread(target=monitor.run)
    thread.start()
    assert told.get(timeout=5) == "changed"
    yield told
    monitor.close()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    "harm",
    [
        "flush ruleset",
        "delete table inet wp_sidecar",
        "flush chain inet wp_sidecar prerouting",
        "delete element inet wp_sidecar ban4 { 203.0.113.1 }",
        "flush set inet wp_sidecar ports",
        "insert rule inet wp_sidecar prerouting accept",
        "add table inet wp_sidecar { flags dormant; }",
    ],
)
def test_what_another_program_changes_is_told(host, told, harm):
    host.nft(harm)

    assert told.get(timeout=5) == "changed"


def test_no_descriptor_is_left_open_by_looking_for_our_own_sockets(firewall):
    firewall.apply(Turn(time.time(), BANS))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    ports = own_ports()

    assert len(ports) >= 1
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_our_own_changes_are_not_told_nor_those_of_other_tables(host, firewall, told):
    firewall.apply(Turn(time.time(), BANS))
    with closing(Firewall([Jail("login")])) as another:  # other sockets of this process
        another.start(BANS, time.time())
    host.nft("table inet f2b { set s { typeof ip saddr; }\n}\ntable ip wp_sidecar { chain c {\n}\n}")
    host.nft("flush ruleset")  # what is told is told in order, so this is the first

    assert told.get(timeout=5) == "changed"
    with pytest.raises(queue.Empty):
        told.get(timeout=0.1)


def test_what_did_not_fit_is_told_as_a_change(firewall, monkeypatch):
    """A burst of our own changes while nobody reads: the kernel throws messages away and says so."""
    monkeypatch.setattr("sidecar.firewall.monitor._ROOM", 4096)
    told, go_on = queue.Queue(), threading.Event()

    def changed():
        told.put("changed")
        go_on.wait(5)

    monitor = Monitor(changed)
    thread = threading.Thread(target=monitor.run)
    thread.start()
    assert told.get(timeout=5) == "changed"
    firewall.apply(Turn(time.time(), BANS))
    go_on.set()
    assert told.get(timeout=5) == "changed"
    monitor.close()
    thread.join(5)


def test_a_monitor_that_is_closed_first_ends_at_once(host):
    monitor = Monitor(lambda: None)
    monitor.close()
    monitor.run()


def test_whole_again_after_a_flush(host, firewall):
    """The loop's part is played by `changed` here. How long it took is printed: milliseconds, on an idle machine."""
    repaired = []
    monitor = Monitor(lambda: repaired.append(firewall.reconcile(time.time())))
    thread = threading.Thread(target=monitor.run)
    thread.start()
    try:
        wait_until(lambda: repaired == [None])
        for n in range(2, 7):
            host.nft("flush ruleset")
            flushed = time.monotonic()
            wait_until(lambda n=n: len(repaired) >= n and len(host.kernel.elements("ban4")) == 3)
            print(f"whole again {1000 * (time.monotonic() - flushed):.1f} ms after the flush returned")  # noqa: T201
    finally:
        monitor.close()
        thread.join(5)


def test_without_the_capability_it_says_so(host):
    assert shutil.which("setpriv"), "this test needs `setpriv`: install util-linux"
    less = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", sys.executable, "-c"]
    script = "from sidecar.firewall import Monitor\nMonitor(print).run()"
    ran = subprocess.run([*less, script], capture_output=True, text=True, check=False)

    assert (ran.returncode, str(NoPermission()) in ran.stderr) == (1, True)
