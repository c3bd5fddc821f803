import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import pytest


class Webhook:
    """A local stand-in for a webhook: it keeps the messages, and answers with `answers` in their order, then with 200.

    An answer is (status, headers, body), or None for no answer until `hang_up()`. `decide` gives the answer, where a
    test sets it. `bodies` are the raw bodies, and `accepted` the messages that were answered with 200.
    """

    def __init__(self):
        self.got: list[dict] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[bytes] = []
        self.accepted: list[dict] = []
        self.decide = None
        self.answers: list[tuple[int, dict[str, str], bytes] | None] = []
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/T0/B0/secret"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def wait(self, count):
        """The texts of this many messages, the first ones."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.got) >= count, timeout=60), self.got
            return [message["text"] for message in self.got]

    def hang_up(self):
        """On those that wait for an answer."""
        self._closed.set()

    def close(self):
        self.hang_up()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _post(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        message = decoded(body, handler.headers.get("Content-Type", ""))
        with self._changed:
            self.got.append(message)
            self.bodies.append(body)
            self.requests.append((handler.command, handler.path, dict(handler.headers)))
            answer = self.answers.pop(0) if self.answers else (200, {}, b"ok")
            if self.decide:
                answer = self.decide(message)
            if answer and answer[0] == 200:
                self.accepted.append(message)
            self._changed.notify_all()
        if answer is None:
            self._closed.wait(60)
            return
        status, headers, body = answer
        handler.send_response(status)
        for header in headers.items():
            handler.send_header(*header)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _handler(self):
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                webhook._post(self)

            do_PUT = do_GET = do_POST  # noqa: N815

            def log_message(self, *args):
                pass

        return Handler


def decoded(body, content_type):
    """The message in JSON, in a form with JSON in it, or in neither."""
    if "json" in content_type:
        return json.loads(body)
    form = dict(parse_qsl(body.decode(errors="replace")))
    return json.loads(form["payload"]) if "payload" in form else form


@pytest.fixture
def webhook():
    webhook = Webhook()
    yield webhook
    webhook.close()
