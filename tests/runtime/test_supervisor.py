import threading

from sidecar.runtime.supervisor import Every, Services


class Flaky:
    name = "flaky"

    def __init__(self):
        self.runs, self.third, self.closed = 0, threading.Event(), threading.Event()

    def run(self):
        self.runs += 1
        if self.runs < 3:
            raise OSError("engine is restarting")
        self.third.set()
        self.closed.wait(5)

    def close(self):
        self.closed.set()


def test_a_service_that_fails_is_started_again():
    said = []
    services, flaky = Services(lambda *words: said.append(words), pause=0), Flaky()
    services.start(flaky)

    assert flaky.third.wait(5)
    services.close()
    assert said == [("flaky", "flaky failed: engine is restarting"), ("flaky", None)] * 2
    assert flaky.runs == 3


class Order:
    def __init__(self, name, log):
        self.name, self._log, self._closed = name, log, threading.Event()

    def run(self):
        self._closed.wait(5)

    def close(self):
        self._log.append(self.name)
        self._closed.set()


def test_the_last_started_is_closed_first():
    log: list[str] = []
    services = Services(lambda *_: None)
    for name in ("web", "docker"):
        services.start(Order(name, log))
    services.close()

    assert log == ["docker", "web"]


def test_every_so_often():
    third, count = threading.Event(), []

    def do():
        count.append(1)
        if len(count) == 3:
            third.set()

    services, every = Services(lambda *_: None), Every("look", do, lambda: 0.001)
    services.start(every)

    assert third.wait(5)
    services.close()
