"""Reloads of the real daemon, while a container of a real Docker Engine writes at speed."""

import contextlib
import sqlite3

import pytest

from tests.bed import Bed
from tests.bed.daemon import bare
from tests.support.running import Running
from tests.support.waiting import wait_until

IMAGE = "debian:trixie-slim"
# 100 lines, about 20 times a second, until it is stopped
WRITER = """BEGIN { for (n = 0; ; n++) {
    print "number " n " from 203.0.113." n % 250
    if (n % 100 == 99) { fflush(); if (system("sleep 0.05")) exit }
} }"""


@pytest.fixture
def engine():
    with Bed.up(daemon=bare()) as bed:
        yield bed.engine
        bed.engine.clear()


@pytest.fixture
def daemon(tmp_path, monkeypatch, engine):
    monkeypatch.setenv("DOCKER_HOST", engine.base_url)
    monkeypatch.setenv("WP_SIDECAR_FILTERS", str(tmp_path))
    running = Running(tmp_path)
    yield running
    running.close()


def configure(daemon, turn):
    """Another filter, another number, another jail that follows another container or none."""
    (daemon.folder / "numbered.conf").write_text(
        f"[Definition]\nfailregex = ^number \\d+ from <HOST>$\n  ^never {turn} <HOST>$\n"
    )
    (daemon.folder / "jails.conf").write_text(
        f"[numbered]\ncontainers = writer\nmaxretry = {1_000 + turn}\n"
        f"[more-{turn}]\nfilter = wordpress\ncontainers = {'other' if turn % 2 else 'none'}\n"
    )


def run(engine, name, *command):
    label = "wp-sidecar.enable=true"
    engine.cli("run", "--detach", "--init", "--name", name, "--label", label, IMAGE, *command)


def test_ten_reloads_while_a_container_writes_lose_and_double_no_line(engine, daemon):
    run(engine, "other", "sleep", "3600")
    configure(daemon, 0)
    daemon.start()
    run(engine, "writer", "awk", WRITER)
    counted = 0
    for turn in range(1, 11):
        configure(daemon, turn)
        assert daemon.ask("reload")["jails"] == ["numbered", f"more-{turn}"]
        watched = ["other", "writer"] if turn % 2 else ["writer"]
        wait_until(lambda watched=watched: streams(daemon) == watched)
        # It is written, and read, all the while.
        wait_until(lambda before=counted: daemon.failures()["numbered"] > before)
        counted = daemon.failures()["numbered"]
    engine.cli("kill", "writer")
    written = engine.cli("logs", "writer").stdout.splitlines()
    wait_until(lambda: daemon.failures()["numbered"] >= len(written), timeout=120)
    daemon.end()

    with contextlib.closing(sqlite3.connect(daemon.folder / "state/state.db")) as db:
        lines = [line for (line,) in db.execute("SELECT line FROM hits WHERE jail = 'numbered'")]
    assert sorted(map(number, lines)) == list(map(number, written)) == list(range(len(written)))


def streams(daemon):
    return [each["container"] for each in daemon.ask("status")["streams"]]


def number(line):
    return int(line.split()[1])
