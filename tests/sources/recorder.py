"""Takes what a source hands on, as the loop would, and records it."""

import threading

from sidecar.runtime.problems import Problems
from sidecar.sources.base import Outputs

# Seconds after which what a test waits for has gone wrong.
TIMEOUT_S = 60


class Recorder:
    """The outputs of a source: lines, the cursors that were stored, events of logs, topologies, changes of problems."""

    def __init__(self):
        self.lines, self.cursors, self.batches = [], {}, []
        self.topologies, self.events, self.problems = [], [], []
        # Whether the last problem that began is critical.
        self.critical = False
        # So many batches break what they are given to.
        self.failures_left = 0
        self._problems = Problems(self)
        self._changed = threading.Condition()

    @property
    def outputs(self):
        return Outputs(self.emit, self, self._problems)

    def emit(self, batch, cursor):
        with self._changed:
            if self.failures_left:
                self.failures_left -= 1
                raise RuntimeError("a mistake in a matcher")
            self.batches.append(batch)
            for line in batch.data.split(b"\n")[:-1]:
                self.lines.append((batch.origin.name, batch.origin.stream, line[31:]))
            if cursor:
                self.cursors[cursor.key] = cursor.state
            self._changed.notify_all()

    # A TopologyListener

    def on_topology_changed(self, topology):
        self._record(self.topologies, topology)

    # A ProblemListener

    def problem_changed(self, name, sentence):
        if sentence:
            self.critical = self._problems.critical
        self._record(self.problems, (name, sentence))

    # A LogListener

    def log_opened(self, name):
        self._record(self.events, ("opened", name))

    def log_closed(self, name):
        self._record(self.events, ("closed", name))

    def log_unreadable(self, name):
        self._record(self.events, ("unreadable", name))

    def log_reopened(self, name, reason):
        self._record(self.events, ("reopened", name, reason))

    def log_gap(self, name):
        self._record(self.events, ("gap", name))

    def log_removed(self, name):
        self._record(self.events, ("removed", name))

    def batch_read(self, origin, lines, size, last=None):
        self._record(self.events, ("read", origin.name, origin.stream, lines, size, last))

    def lines_truncated(self, name, count=1):
        self._record(self.events, ("truncated", name, count))

    def _record(self, where, what):
        with self._changed:
            where.append(what)
            self._changed.notify_all()

    def wait(self, condition):
        """Wait until it is true; it is asked at each change."""
        with self._changed:
            if not self._changed.wait_for(condition, TIMEOUT_S):
                raise AssertionError(
                    f"still waiting; lines {self.lines[-5:]}, events {self.events[-9:]}, {self.problems}"
                )

    def wait_lines(self, count):
        """Wait for this many lines; return the texts of all."""
        self.wait(lambda: len(self.lines) >= count)
        return [text for _, _, text in self.lines]
