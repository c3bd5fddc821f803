import threading

from sidecar.runtime.problems import Problems
from sidecar.runtime.supervisor import PeriodicTask, Supervisor


class Flaky:
    name = "flaky"

    def __init__(self):
        self.runs, self.third, self.closed = 0, threading.Event(), threading.Event()

    def run(self):
        self.runs += 1
        if self.runs < 3:
            raise OSError("engine is restarting")
        self.third.set()
        self.closed.wait(60)

    def close(self):
        self.closed.set()


class Changes(list):
    def problem_changed(self, name, sentence):
        self.append((name, sentence))


def test_a_service_that_fails_is_started_again():
    changes, flaky = Changes(), Flaky()
    supervisor = Supervisor(Problems(changes), first_delay_s=0)
    supervisor.start(flaky)

    assert flaky.third.wait(60)
    supervisor.close()
    assert changes == [("flaky", "flaky failed: engine is restarting"), ("flaky", None)] * 2
    assert flaky.runs == 3


class Order:
    def __init__(self, name, log):
        self.name, self._log, self._closed = name, log, threading.Event()

    def run(self):
        self._closed.wait(60)

    def close(self):
        self._log.append(self.name)
        self._closed.set()


def test_the_last_started_is_closed_first():
    log: list[str] = []
    supervisor = Supervisor(Problems())
    for name in ("web", "docker"):
        supervisor.start(Order(name, log))
    supervisor.close()

    assert log == ["docker", "web"]


def test_a_periodic_task_runs_at_once_and_again():
    third, count = threading.Event(), []

    def work():
        count.append(1)
        if len(count) == 3:
            third.set()

    supervisor = Supervisor(Problems())
    supervisor.start(PeriodicTask("look", work, interval_s=0.001))

    assert third.wait(60)
    supervisor.close()
