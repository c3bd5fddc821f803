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
from sidecar.firewall import Firewall, Monitor, NftTable, NoPermission
from sidecar.firewall.monitor import own_ports
from tests.support.waiting import wait_until

BANS = tuple(Ban("login", Address(f"203.0.113.{n}"), 0.0, 9e9, "failures") for n in range(200))


class Listener:
    """Counts notifications, and does something at each."""

    def __init__(self, action=lambda: None):
        self._action = action
        self._notified = queue.Queue()

    def table_changed(self):
        self._notified.put("changed")
        self._action()

    def is_notified(self, timeout=60):
        """Wait for a notification, and take it."""
        try:
            return self._notified.get(timeout=timeout)
        except queue.Empty:
            return False


@pytest.fixture
def firewall(start):
    return start(*BANS[:3])


@pytest.fixture
def listener(firewall):
    """A listener of a monitor that runs; the first notification is taken."""
    listener = Listener()
    monitor = Monitor(listener)
    thread = threading.Thread(target=monitor.run)
    thread.start()
    assert listener.is_notified()
    yield listener
    monitor.close()
    thread.join(60)
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
def test_a_change_by_another_program_is_notified(host, listener, harm):
    host.nft(harm)

    assert listener.is_notified()


def test_no_descriptor_is_left_open_by_looking_for_our_own_sockets(firewall):
    firewall.apply(Turn(time.time(), BANS))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    ports = own_ports()

    assert len(ports) >= 1
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_our_own_changes_and_those_of_other_tables_are_not_notified(host, firewall, listener):
    firewall.apply(Turn(time.time(), BANS))
    # Other sockets of this process.
    with closing(Firewall(NftTable(), [Jail("login")])) as another:
        another.start(BANS, time.time())
    host.nft("table inet f2b { set s { typeof ip saddr; }\n}\ntable ip wp_sidecar { chain c {\n}\n}")
    # The kernel notifies in order, so this is the first that may be noticed.
    host.nft("flush ruleset")

    assert listener.is_notified()
    assert not listener.is_notified(timeout=0.1)


def test_messages_that_the_kernel_dropped_are_notified_as_a_change(firewall, monkeypatch):
    """A burst of our own changes that is not read: the kernel drops messages, and reports that."""
    monkeypatch.setattr("sidecar.firewall.monitor.BUFFER_BYTES", 4096)
    go_on = threading.Event()
    listener = Listener(lambda: go_on.wait(60))
    monitor = Monitor(listener)
    thread = threading.Thread(target=monitor.run)
    thread.start()
    assert listener.is_notified()
    firewall.apply(Turn(time.time(), BANS))
    go_on.set()
    assert listener.is_notified()
    monitor.close()
    thread.join(60)


@pytest.mark.usefixtures("host")
def test_a_monitor_that_is_closed_before_it_runs_ends_at_once():
    listener = Listener()
    monitor = Monitor(listener)
    monitor.close()
    monitor.run()

    assert listener.is_notified(timeout=0)
    assert not listener.is_notified(timeout=0)


def test_the_table_is_repaired_after_each_flush(host, firewall):
    """The listener does the loop's part here. How long it took is printed: milliseconds, on an idle machine."""
    repaired = []
    monitor = Monitor(Listener(lambda: repaired.append(firewall.repair(time.time()))))
    thread = threading.Thread(target=monitor.run)
    thread.start()
    try:
        wait_until(lambda: repaired == [None])
        for n in range(2, 7):
            host.nft("flush ruleset")
            flushed = time.monotonic()
            wait_until(lambda n=n: len(repaired) >= n and len(host.kernel.elements("ban4")) == 3)
            print(f"repaired {1000 * (time.monotonic() - flushed):.1f} ms after the flush returned")  # noqa: T201
    finally:
        monitor.close()
        thread.join(60)


@pytest.mark.usefixtures("host")
def test_without_the_capability_it_says_so():
    assert shutil.which("setpriv"), "this test needs `setpriv`: install util-linux"
    less = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", sys.executable, "-c"]
    script = "from sidecar.firewall import Monitor\nMonitor(None).run()"
    ran = subprocess.run([*less, script], capture_output=True, text=True, check=False)

    assert (ran.returncode, str(NoPermission()) in ran.stderr) == (1, True)
