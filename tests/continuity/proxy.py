"""A socket proxy before the Engine that cuts connections: those that are idle, and all of them, wherever they are."""

import random
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

READ = 64 * 1024
PAUSE = 0.2  # seconds between looks for what is idle


class Proxy:
    """Passes on what comes at a listening socket to the `engine`'s."""

    def __init__(self, listening: socket.socket, engine: Path, *, idle: float, seed: int) -> None:
        """Cuts what was silent for this many seconds, as haproxy and Traefik do."""
        self._engine, self._idle, self._random = engine, idle, random.Random(seed)
        self._links: list[_Link] = []
        self._listening = listening
        self._closed = threading.Event()
        self.cuts = 0
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._accept, self._watch)]
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        """Ends every connection a few bytes from now, most likely inside a frame."""
        for link in list(self._links):
            link.left = self._random.randrange(2000)
        self._closed.wait(PAUSE)
        for link in list(self._links):
            link.end()
            self.cuts += 1

    def close(self) -> None:
        self._closed.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for link in list(self._links):
            link.end()
        for thread in self._threads:
            thread.join(60)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self._engine))
            except OSError:  # the Engine is away: the proxy hangs up
                client.close()
                server.close()
                continue
            self._links = [link for link in self._links if not link.over]
            self._links.append(_Link(client, server))

    def _watch(self) -> None:
        while not self._closed.wait(PAUSE):
            for link in list(self._links):
                if time.monotonic() - link.spoke > self._idle and not link.over:
                    link.end()
                    self.cuts += 1


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.left = -1  # bytes that may still come from the server; -1: as many as it likes
        self.spoke = time.monotonic()
        self.over = False
        self._ends = client, server
        for way in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=way, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(READ):
                self.spoke = time.monotonic()
                if self.left >= 0 and source is self._ends[1]:
                    data = data[: self.left]
                    self.left = 0
                if not data:
                    break
                sink.sendall(data)
        self.end()

    def end(self) -> None:
        self.over = True
        for each in self._ends:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
