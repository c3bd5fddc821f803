"""python -m tests.sources.files.cri_process ROOT STATE: reads the logs of pods into a real store until it is killed."""

import os
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

from sidecar.core.allowlist import Allowlist
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from sidecar.runtime.loop import Inbox, Loop
from sidecar.runtime.problems import Problems
from sidecar.sources.base import NullLogListener, Outputs
from sidecar.sources.dns import Resolver
from sidecar.sources.files.container_logs import ContainerLogs
from sidecar.sources.files.layouts import KubeletLayout
from sidecar.sources.intake import Intake
from sidecar.stores.sqlite import SqliteStore

FILTER = r"""
[Definition]
datepattern = {NONE}
failregex = ^line \S+ from <HOST>
"""
# The store keeps this many failures and no more; this keeps the number of each in the same transaction.
LEDGER = """
CREATE TABLE IF NOT EXISTS ledger (line TEXT PRIMARY KEY, times INTEGER) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS count_hits AFTER INSERT ON hits BEGIN
    INSERT INTO ledger VALUES (substr(NEW.line, 1, instr(NEW.line, ' from')), 1)
    ON CONFLICT DO UPDATE SET times = times + 1;
END;
"""


class Gaps(NullLogListener):
    """Prints every event that may mean lost lines to stderr."""

    def log_reopened(self, name, reason):
        if reason != "rotated":
            sys.stderr.write(f"{name} {reason}\n")

    def log_gap(self, name):
        sys.stderr.write(f"{name} gap\n")


class NoTopology:
    """A TopologyListener that does nothing."""

    def on_topology_changed(self, topology): ...


class Exit:
    """Ends the process when anything is wrong."""

    def problem_changed(self, _, sentence):
        if sentence:
            sys.exit(sentence)


def main(root, state):
    rules = Path(state, "numbered.conf")
    rules.write_text(FILTER)
    jail = Jail("numbered", maxretry=10**6, findtime=10**9)
    store = SqliteStore(Path(state, "state.db"))
    with closing(sqlite3.connect(store.path)) as db:
        db.executescript(LEDGER)
    inbox = Inbox()
    problems = Problems(Exit())
    matcher = Matcher({jail.name: load(str(rules))})
    intake = Intake(matcher, inbox, Resolver(inbox), time.time, problems.problem("filtering"))
    loop = Loop(
        Guard([jail], Allowlist()),
        inbox,
        [store],
        time.time,
        problems,
    )
    layout, outputs = KubeletLayout(Path(root), ["blog/*/*"]), Outputs(intake, Gaps(), Problems())
    cursors = store.load(time.time()).cursors
    source = ContainerLogs(layout, [jail], outputs, NoTopology(), cursors=cursors, since=0.0)
    threading.Thread(target=source.run, daemon=True).start()
    os.write(1, b"reading\n")
    loop.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
