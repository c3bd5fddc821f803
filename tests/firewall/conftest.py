"""The kernel's firewall in network namespaces, and firewalls that are started in them."""

import time
from contextlib import ExitStack, closing

import pytest

from sidecar.firewall import Firewall, NftTable
from tests.firewall.decisions import JAILS
from tests.support.cable import cable, host

__all__ = ["cable", "host"]


@pytest.fixture
def start(host):
    """Start a firewall with nftables on our host, as the program does."""
    with ExitStack() as stack:

        def start(*bans, jails=JAILS, kernel=None):
            firewall = stack.enter_context(closing(Firewall(NftTable(kernel), jails)))
            firewall.start(bans, time.time())
            return firewall

        yield start


@pytest.fixture
def firewall(start):
    return start()
