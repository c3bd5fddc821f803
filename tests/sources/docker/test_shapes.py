"""Answers that the Engine does not give: one sentence, and nothing further in meets them."""

import contextlib
import http.server
import json
import threading

import pytest

from sidecar.sources.docker import shapes
from sidecar.sources.docker.api import DockerHost, RequestRefusedError
from sidecar.sources.docker.connection import Interrupt
from sidecar.sources.docker.inventory import Inventory
from sidecar.sources.docker.wire import EngineError, ProtocolError

SITE = {"Id": "a", "State": "running", "Image": "wordpress", "Labels": None}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ([], "a list of containers is no dict"),
        ({**SITE, "Id": None}, "a list of containers has no Id"),
        ({**SITE, "Id": 7}, "Id of a list of containers is no str"),
        ({**SITE, "State": {}}, "State of a list of containers is no str"),
        ({**SITE, "Labels": {"a": 1}}, "Labels of a list of containers is no str"),
        ({**SITE, "Ports": [7]}, "Ports of a list of containers is no dict"),
        ({**SITE, "NetworkSettings": {"Networks": {"a": 9}}}, "Networks of NetworkSettings of a list of containers is no"),
    ],
)  # fmt: skip
def test_the_place_that_is_wrong_is_named(entry, message):
    with pytest.raises(ProtocolError, match=f"^{message}"):
        shapes.checked([SITE, entry], shapes.CONTAINERS, "a list of containers")


def test_what_is_missing_is_right():
    assert shapes.checked([SITE], shapes.CONTAINERS, "a list") == [SITE]
    assert shapes.checked(None, shapes.NETWORKS, "a list") == []
    assert shapes.checked(None, shapes.CONTAINER, "a container") == {}


@contextlib.contextmanager
def answering(status, body):
    """Something that gives this answer to every request but the one for the version; yields its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            version = self.path.endswith("/version")
            text = b'{"ApiVersion": "1.45"}' if version else body
            self.send_response(200 if version else status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"tcp://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "body",
    [
        b"[]x",
        b"7",
        b"[7]",
        b'{"a": 1}',
        b'[{"Id": 7}]',
        b'[{"Id": "a", "State": {}, "Image": 3, "Ports": "x"}]',
        b"\xff",
    ],
)
def test_whatever_answers_it_is_an_error_of_the_engine(body):
    with answering(200, body) as url, contextlib.closing(DockerHost(url).open(Interrupt())) as engine:
        for ask in (
            lambda: Inventory("").listing(engine),
            engine.networks,
            lambda: engine.log_driver("a"),
            lambda: engine.bytes_before_loss("a"),
            lambda: engine.inspect_image("a"),
        ):
            # Some of it may be right by chance.
            with contextlib.suppress(EngineError):
                ask()
        with pytest.raises(EngineError):
            engine.containers()


def test_what_the_engine_says_moves_no_cursor_in_our_log():
    body = json.dumps({"message": "\x1b[2Jboom\nBan 203.0.113.7"}).encode()
    with answering(500, body) as url, contextlib.closing(DockerHost(url).open(Interrupt())) as engine:
        for ask in (engine.containers, lambda: engine.logs("a", 0)):
            with pytest.raises(RequestRefusedError) as raised:
                ask()
            assert str(raised.value) == r"\x1b[2Jboom\nBan 203.0.113.7"
