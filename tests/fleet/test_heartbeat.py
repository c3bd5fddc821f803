"""A node's hello: the clock's offset, the epoch, and the other nodes. The server is scripted; time is a number."""

import pytest

from sidecar.fleet.heartbeat import Heartbeat
from sidecar.fleet.redis import Hello
from sidecar.fleet.session import Node, Session
from sidecar.runtime.problems import Problems
from tests.support.peers import FleetCounts

NOW = 1_000.0


class ScriptedServer:
    """Answers each hello with the next of these: its clock, how long it takes, and its epoch."""

    def __init__(self, *answers):
        self.now, self._answers = NOW, [*answers]

    def clock(self):
        return self.now

    url = "redis.example:6379"

    def hello(self, node, new_epoch, *, sealed):
        assert (node, len(new_epoch)) == ("a/1", 16)
        ahead, takes, epoch = self._answers.pop(0)
        answered_at = self.now + takes / 2 + ahead
        self.now += takes
        return Hello(epoch, round(answered_at * 1000), nodes=3)


def beat(*answers, times=1, keys=(), problems=None):
    server = ScriptedServer(*answers)
    session = Session(server, Node("a", keys, "1"), server.clock, FleetCounts(), since_boot=server.clock)
    heartbeat = Heartbeat(session, (problems or Problems()).problem("the clock", critical=False))
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


@pytest.mark.parametrize("ahead", [-86_400.0, -61.0, 61.0, 3e7])
def test_where_messages_are_sealed_a_clock_that_differs_much_is_not_believed(ahead):
    problems = Problems()
    lying = [(ahead, 0.1, "one")] * 3
    _, session, _ = beat(*lying, keys=(b"k" * 32,), problems=problems)

    assert session.offset.ahead_s == 0
    (sentence,) = problems.sentences
    assert sentence.startswith("the clock of Redis at redis.example:6379 differs from this host's by ")


def test_a_clock_that_is_right_again_is_believed():
    problems = Problems()
    answers = [(5.0, 0.1, "one")] * 3, [(9e9, 0.1, "one"), (5.0, 0.1, "one")]
    _, session, _ = beat(*answers[0], *answers[1], times=3, keys=(b"k" * 32,), problems=problems)

    assert session.offset.ahead_s == pytest.approx(5.0, abs=0.001)
    assert problems.sentences == ()


def test_without_a_key_any_clock_is_the_fleets():
    _, session, _ = beat(*[(3e7, 0.1, "one")] * 3)

    assert session.offset.ahead_s == pytest.approx(3e7, abs=0.001)
