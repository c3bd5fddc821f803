"""A node's hello: the clock's offset, the epoch, and the other nodes. The server is scripted; time is a number."""

import pytest

from sidecar.fleet.heartbeat import Heartbeat
from sidecar.fleet.redis import Hello
from sidecar.fleet.session import Node, Session
from tests.support.peers import FleetCounts

NOW = 1_000.0


class ScriptedServer:
    """Answers each hello with the next of these: its clock, how long it takes, and its epoch."""

    def __init__(self, *answers):
        self.now, self._answers = NOW, [*answers]

    def clock(self):
        return self.now

    def hello(self, node, new_epoch):
        assert (node, len(new_epoch)) == ("a/1", 16)
        ahead, takes, epoch = self._answers.pop(0)
        answered_at = self.now + takes / 2 + ahead
        self.now += takes
        return Hello(epoch, round(answered_at * 1000), nodes=3)


def beat(*answers, times=1):
    server = ScriptedServer(*answers)
    session = Session(server, Node("a", run="1"), server.clock, FleetCounts())
    heartbeat = Heartbeat(session)
    return heartbeat, session, [heartbeat.beat() for _ in range(times)]


def test_the_first_offset_is_that_of_the_quickest_answer():
    heartbeat, session, _ = beat((9.0, 0.4, "one"), (5.0, 0.1, "one"), (7.0, 0.3, "one"))

    assert session.offset.ahead_s == pytest.approx(5.0, abs=0.001)
    assert (heartbeat.nodes, session.listener.others) == (3, 2)
    assert heartbeat.answered_at == pytest.approx(NOW + 0.8)


def test_an_offset_that_drifts_little_is_kept():
    first = [(5.0, 0.1, "one")] * 3
    _, kept, _ = beat(*first, (5.9, 0.1, "one"), times=2)
    _, changed, _ = beat(*first, (6.1, 0.1, "one"), times=2)

    assert kept.offset.ahead_s == pytest.approx(5.0, abs=0.001)
    assert changed.offset.ahead_s == pytest.approx(6.1, abs=0.001)


def test_another_epoch_is_noticed_once():
    first = [(0.0, 0.1, "one")] * 3
    _, _, same = beat(*first, (0.0, 0.1, "one"), (0.0, 0.1, "two"), (0.0, 0.1, "two"), times=4)

    assert same == [False, True, False, True]
