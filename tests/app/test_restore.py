"""Stored bans are in force right after a start: in the kernel of a host of their own, from the state directory alone."""

import resource
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import pytest

from sidecar.app.restore import Restored, restore, restore_for_run
from sidecar.core.address import Address, first_and_last
from sidecar.core.events import Turn
from sidecar.firewall import AlreadyRunning, Firewall, FirewallClaim, FirewallSink, NftTable
from sidecar.firewall.layout import FILE_NAME, Layout, LayoutFile
from sidecar.runtime.loop import Inbox
from sidecar.runtime.problems import Problems
from sidecar.stores.base import StoreError
from sidecar.stores.sqlite import SqliteStore
from tests.firewall.decisions import ANN, ANNS64, BOB, BOB6, EVE, JAILS, ban
from tests.support.cable import cable, host
from tests.support.disks import in_own_mounts, mount

__all__ = ["cable", "host"]


@pytest.fixture
def state(tmp_path, host):
    """What a run left, which a reboot followed: its state directory, and no table in the kernel."""
    layout = Layout({jail.name: jail.ports for jail in JAILS}, ("10.0.0.0/8", "::1"), frozenset({8080}))
    LayoutFile(tmp_path).write(layout)
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        store.apply(Turn(time.time(), (ban(ANN), ban(ANNS64), ban("203.0.113.96/28"), ban(BOB, "ssh"))))
    return tmp_path


def test_stored_bans_close_the_ports_that_they_closed_before(host, state):
    assert restore(state, time.time()) == Restored(4)

    assert host.lets_in(ANN, BOB, EVE, "2001:db8:bad:1::11", BOB6) == {BOB, BOB6}
    assert host.lets_in(ANN, BOB, port=22) == {ANN}
    assert host.lets_in(ANN, BOB, port=8080) == set()


def test_the_daemon_that_follows_finds_nothing_to_repair(host, state):
    restore(state, time.time())
    handles = host.kernel.shape()
    with closing(SqliteStore(state / "state.db")) as store, closing(Firewall(NftTable(), JAILS)) as firewall:
        layout = LayoutFile(state).read()
        firewall.set_topology(layout.allowlist, time.time(), layout.published)
        firewall.start(store.load(time.time()).bans, time.time())

        assert (host.kernel.shape().table, host.kernel.shape().sets) == (handles.table, handles.sets)
        assert firewall.repair(time.time(), whole=True) is None


def test_a_run_goes_on_with_what_it_restored(host, state):
    """It has the store's bans and the kernel's, and nothing is read or written for them a second time."""
    restored = restore_for_run(state, time.time())
    generation = host.kernel.generation()
    with closing(restored.claim), closing(restored.firewall) as firewall:
        assert host.lets_in(ANN, BOB, EVE, "2001:db8:bad:1::11", BOB6) == {BOB, BOB6}
        with closing(SqliteStore(state / "state.db")) as store:
            assert store.load(time.time(), read=restored.read).bans is restored.read.bans
        firewall.reconfigure(JAILS, time.time())
        assert host.kernel.generation() == generation
        assert firewall.repair(time.time(), whole=True) is None
        # The jail `login` has the port of SSH by now, and its bans follow.
        firewall.reconfigure([replace(JAILS[0], ports=frozenset({22})), *JAILS[1:]], time.time())
        assert host.lets_in(ANN, EVE) == {ANN, EVE}
        assert host.lets_in(ANN, EVE, port=22) == set()
        assert firewall.enforced() == (4, 4)


def test_another_wp_sidecar_on_the_host_restores_nothing(host, state):
    with closing(FirewallClaim()), pytest.raises(AlreadyRunning):
        restore_for_run(state, time.time())
    assert "wp_sidecar " not in host.nft("list tables")


def test_a_run_without_bans_or_with_its_table_in_force_claims_the_firewall_later(host, state):
    restore(state, time.time())
    assert restore_for_run(state, time.time()) is None
    host.nft("delete table inet wp_sidecar")
    assert restore_for_run(state, time.time() + 4000) is None

    FirewallClaim().close()
    assert host.nft("list ruleset") == ""


def test_a_table_that_is_in_force_is_left_as_it_is(host, state):
    """A container that is started again: its bans are in the kernel, and unbanned addresses are not."""
    with closing(Firewall(NftTable(), JAILS)) as firewall:
        firewall.start([ban(EVE)], time.time())
        generation = host.kernel.generation()

        assert restore(state, time.time()) == Restored(0, was_in_force=True)
        assert host.kernel.generation() == generation


def test_without_a_layout_bans_close_the_ports_of_the_web(host, state):
    (state / FILE_NAME).write_text("{")
    restore(state, time.time())

    assert host.lets_in(ANN, BOB, EVE) == set()
    assert host.lets_in(ANN, BOB, port=22) == {ANN, BOB}


def test_without_bans_nothing_is_written(host, tmp_path):
    assert restore(tmp_path, time.time()) == Restored(0)
    SqliteStore(tmp_path / "state.db").close()
    assert restore(tmp_path, time.time()) == Restored(0)
    assert host.nft("list ruleset") == ""


def test_from_a_store_that_cannot_be_written_nothing_is_restored(host, state):
    """Unbans could not be stored either, so its bans may be over."""

    def story():
        mount("--bind", state, state)
        mount("-o", "remount,bind,ro", state)
        assert run(state, "restore").stdout == "bans restored: 0\n"

    in_own_mounts(story)
    assert host.nft("list ruleset") == ""


def test_fifty_thousand_networks_are_in_force_at_once(host, tmp_path):
    """No two of them touch, and the last one is as banned as the first."""
    networks = [Address(f"{11 + n // 16_384}.{n // 64 % 256}.{n % 64 * 4}.0/24") for n in range(50_000)]
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        for start in range(0, len(networks), 5_000):
            store.apply(Turn(time.time(), tuple(map(ban, networks[start : start + 5_000]))))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run(tmp_path, "restore")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert done.stdout == "bans restored: 50000\n"
    assert set(host.kernel.intervals("net4")) == {first_and_last(network)[1:] for network in networks}
    # It took a second of one processor, of which a third was the kernel's. Half a minute would be quadratic.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 15


def test_bans_that_are_over_are_left_out(host, state):
    assert restore(state, time.time() + 4000) == Restored(0)
    assert host.nft("list ruleset") == ""


@pytest.mark.usefixtures("host")
def test_a_damaged_store_is_reported_and_left_as_it_is(tmp_path):
    (tmp_path / "state.db").write_text("no database" * 1000)
    before = (tmp_path / "state.db").read_bytes()

    with pytest.raises(StoreError, match="cannot be read"):
        restore(tmp_path, time.time())
    assert (tmp_path / "state.db").read_bytes() == before


def test_the_sink_keeps_the_layout_up_to_date(host, tmp_path):
    del host
    file = LayoutFile(tmp_path)
    with closing(
        FirewallSink(Firewall(NftTable(), JAILS), Inbox(), Problems(), None, None, layout_file=file)
    ) as sink:
        sink.start([], ["10.0.0.0/8"], time.time())
        assert LayoutFile(tmp_path).read().allowlist == ("10.0.0.0/8",)
        sink.set_topology(["10.0.0.0/8"], time.time(), frozenset({8443}))
        sink.reconfigure(JAILS[:1], time.time())

    assert LayoutFile(tmp_path).read() == Layout(
        {"login": JAILS[0].ports}, ("10.0.0.0/8",), frozenset({8443})
    )


def run(state, command):
    return subprocess.run(
        [sys.executable, "-m", "sidecar", command],
        env={"WP_SIDECAR_STATE": str(state), "WP_SIDECAR_JAILS": "/nowhere", "PATH": "/usr/sbin:/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_restores_without_a_configuration_and_says_what_it_did(host, state):
    ran = run(state, "restore")
    assert (ran.returncode, ran.stdout) == (0, "bans restored: 4\n")
    assert host.lets_in(ANN, BOB) == {BOB}

    assert run(state, "restore").stdout == "the table is in force already\n"


def test_a_run_restores_before_it_reads_its_configuration(host, state):
    assert run(state, "run").returncode == 78
    assert host.lets_in(ANN, BOB) == {BOB}


def test_the_command_fails_for_a_store_that_cannot_be_read(host, tmp_path):
    del host
    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        db.execute("CREATE TABLE bans (something)")
    ran = run(tmp_path, "restore")

    assert (ran.returncode, "cannot be read" in ran.stderr) == (78, True)
