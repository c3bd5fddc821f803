"""One real Redis of each kind, into which somebody wrote a value that is too long."""

import contextlib

import pytest

from sidecar.config.redis_url import parse_redis_url
from sidecar.fleet.answer_limit import MAX_ANSWER_BYTES
from sidecar.fleet.connection import RedisConnection
from sidecar.stores.base import StoreError
from tests.support.redis_server import free_port, serving
from tests.support.waiting import wait_until


def read(connection):
    with connection.client() as client:
        return client.execute_command("GET", "key")


@pytest.mark.parametrize("kind", ["unix", "sentinel", "cluster"])
def test_an_answer_that_is_too_long_is_not_kept(tmp_path, kind):
    port = free_port()
    with contextlib.ExitStack() as stack:
        options = ["--cluster-enabled", "yes"] if kind == "cluster" else []
        server = stack.enter_context(serving(tmp_path / "server", port, *options))
        url = server.url if kind == "unix" else f"redis+{kind}://127.0.0.1:{port}"
        if kind == "unix":
            url = f"unix://{server.socket}"
        if kind == "cluster":
            server.client().execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_until(
                lambda: b"cluster_state:ok" in server.client().execute_command("CLUSTER", "INFO").encode()
            )
        if kind == "sentinel":
            watching = stack.enter_context(serving(tmp_path / "sentinel", free_port(), sentinel=True))
            watching.client().execute_command("SENTINEL", "MONITOR", "main", "127.0.0.1", port, 1)
            url = f"redis+sentinel://127.0.0.1:{watching.port}/main"
        connection = stack.enter_context(contextlib.closing(RedisConnection(parse_redis_url(url))))
        server.client().set("key", "x" * (MAX_ANSWER_BYTES + 1))
        with pytest.raises(StoreError, match="an answer is over 8 MiB, and no node writes values that long"):
            read(connection)

        server.client().set("key", "x" * 1_000_000)
        # Many answers together may be longer than one.
        assert {len(read(connection)) for _ in range(20)} == {1_000_000}
