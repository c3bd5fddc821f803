"""The Docker source at work, with a stand-in Engine."""

import threading
from contextlib import contextmanager
from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest

from sidecar.app.log_states import LogStates
from sidecar.core.jail import Jail
from sidecar.sources.base import ContainerSelection
from sidecar.sources.docker.api import DockerHost
from sidecar.sources.docker.source import DockerSource
from sidecar.telemetry.metrics import KnownLabels, Metrics
from sidecar.telemetry.metrics.declare import Declaration

JAILS = (Jail("wordpress"), Jail("shop", containers=("shop*",)))
# Nanoseconds.
AT = 1_795_000_000 * 10**9


def docker_source(
    url, recorder, jails=JAILS, *, listener=None, since=0, idle_timeout_s=5.0, list_period_s=5.0
):
    """A source with the cursors that were stored before."""
    return DockerSource(
        DockerHost(url, idle_timeout_s, check_interval_s=idle_timeout_s),
        replace(recorder.outputs, listener=listener or recorder),
        recorder,
        ContainerSelection(tuple(jails), since),
        recorder.cursors,
        list_period_s=list_period_s,
    )


@contextmanager
def following(engine, recorder, jails=JAILS, **options):
    """The source in its thread; at the end no thread of it is left."""
    source = docker_source(engine.url, recorder, jails, **options)
    thread = threading.Thread(target=source.run)
    thread.start()
    try:
        yield source
    finally:
        source.close()
        thread.join(60)
        for each in threading.enumerate():
            if each.name.startswith("docker "):
                each.join(60)
                assert not each.is_alive()
        assert not thread.is_alive()


class Status(LogStates):
    """What `status` and /metrics say of the logs."""

    def __init__(self):
        self._registry = CollectorRegistry()
        super().__init__(Metrics.declared(Declaration(self._registry), "0", KnownLabels()))

    def series(self, name=""):
        lines = generate_latest(self._registry).decode().splitlines()
        return [line for line in lines if f'container="{name}' in line]


def opened(engine, count):
    """Wait until logs were opened this many times."""
    engine.wait(lambda: len(engine.opened) >= count)
