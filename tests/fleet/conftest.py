"""A real Redis, and nodes that share it."""

import pytest

from tests.support.peers import Peer, joined
from tests.support.redis_server import serving


@pytest.fixture
def redis(tmp_path):
    with serving(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def fleet(redis):
    """Make nodes that have joined; they end with the test."""
    peers = []

    def make(*names, url=redis.url, **options):
        new = [Peer(name, url, **options) for name in names]
        peers.extend(new)
        joined(*new)
        return new

    yield make
    for peer in peers:
        peer.close()
    for peer in peers:
        peer.stop()
