"""What the objects of `sidecar.app` are given in tests: problems that are kept, and metrics that can be read."""

import subprocess
import sys

from prometheus_client import CollectorRegistry

from sidecar.core.address import Address
from sidecar.core.containers import Container
from sidecar.core.events import Hit, Origin
from sidecar.runtime.problems import Problems
from sidecar.telemetry.metrics import KnownLabels, Metrics
from sidecar.telemetry.metrics.declare import Declaration

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")
# Docker's userland proxy hides its IPv6 clients.
BLOG = Container("1", "blog", "wordpress", gateways=("172.18.0.1",), ipv6_proxied=True)


class Changes(list):
    """A ProblemListener that keeps each change as (name, sentence)."""

    def problem_changed(self, name, sentence):
        self.append((name, sentence))

    def problems(self):
        """Return `Problems` that this listens to."""
        return Problems(self)


class ReadableMetrics:
    """Metrics, and what a scrape says of them."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.metrics = Metrics.declared(Declaration(self.registry), "1", KnownLabels())

    def value(self, name, **labels):
        return self.registry.get_sample_value(f"wp_sidecar_{name}", labels)


def hits(number, address="172.18.0.1", origin="blog", *, jail="web", at=1.0):
    return tuple(Hit(jail, Address(address), at, Origin("docker", origin), "line") for _ in range(number))


def printed(code, environ):
    """Return the lines that Python code prints in a network namespace of its own."""
    done = subprocess.run(
        ["unshare", "--net", "--", sys.executable, "-c", code],
        capture_output=True, text=True, timeout=60, env=environ, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
