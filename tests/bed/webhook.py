"""A webhook receiver in the bed's host: what an alert looks like where it arrives."""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.bed.network import Place


@dataclass(frozen=True)
class Post:
    at: float
    path: str
    headers: dict[str, str]
    body: Any  # the JSON


class Webhook:
    """Records what is posted to it. `status` and `headers` say how it answers from now on, once `answering` is set."""

    def __init__(self, host: Place) -> None:
        self.posts: list[Post] = []
        self.status, self.headers = 200, {}  # type: tuple[int, dict[str, str]]
        self.answering = threading.Event()
        self.answering.set()
        self._new = threading.Condition()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                webhook._record(Post(time.time(), self.path, dict(self.headers), json.loads(body)))
                webhook.answering.wait()
                self.send_response(webhook.status)
                for name, value in webhook.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self._server = host.within(lambda: ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/T0/B0/secret"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _record(self, post: Post) -> None:
        with self._new:
            self.posts.append(post)
            self._new.notify_all()

    def wait(self, count: int = 1, timeout: float = 60) -> list[Post]:
        """The posts, as soon as there are this many; a TimeoutError if they do not come."""
        with self._new:
            if not self._new.wait_for(lambda: len(self.posts) >= count, timeout):
                raise TimeoutError(f"{len(self.posts)} of {count} posts came in {timeout} s")
            return list(self.posts)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
