"""What passes an attacker's network interface: HTTP requests that left, and answers that arrived, with the kernel's times."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Self

from tests.bed import Place

ETH_P_IP: Final = 0x0800
SO_TIMESTAMPNS: Final = 35
SO_RCVBUFFORCE: Final = 33
ROOM_BYTES: Final = 64 << 20
POLL_S: Final = 0.2

REQUEST: Final = re.compile(rb"(?:GET|POST|HEAD|PUT|OPTIONS) (\S+) HTTP/1\.[01]\r\n")
ANSWER: Final = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass
class Stream:
    """One direction of a connection: its bytes, and when each part of them was first seen (unix seconds)."""

    data: bytearray = field(default_factory=bytearray)
    parts: list[tuple[int, float]] = field(default_factory=list)
    expected: int | None = None

    def add(self, sequence: int, payload: bytes, at: float) -> None:
        """Append what is new of a segment. A repeated segment is none, and nothing is lost or reordered on a veth."""
        if self.expected is not None:
            known = (self.expected - sequence) & 0xFFFFFFFF
            if known < 1 << 31:
                payload = payload[known:]
                sequence += known
        if payload:
            self.parts.append((len(self.data), at))
            self.data += payload
            self.expected = (sequence + len(payload)) & 0xFFFFFFFF

    def times(self, wanted: re.Pattern[bytes]) -> Iterator[float]:
        """Yield when each match began."""
        for found in wanted.finditer(bytes(self.data)):
            yield next(at for start, at in reversed(self.parts) if start <= found.start())


class Wire:
    """Records TCP segments of one address and one port in a place, from when it is made until it is closed."""

    def __init__(self, place: Place, address: str, port: int) -> None:
        self._address, self._port = socket.inet_aton(address), port
        self._sock = place.within(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0))
        self._sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM_BYTES)
        self._sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._sock.settimeout(POLL_S)
        self._sock.bind(("eth0", 0x0003))  # ETH_P_ALL: outgoing packets are seen only by this
        self._sent: dict[int, Stream] = defaultdict(Stream)
        self._received: dict[int, Stream] = defaultdict(Stream)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wire")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._sock.close()

    def requests(self, wanted: re.Pattern[bytes] = REQUEST) -> list[float]:
        """When each request left, in order. To be asked after the end."""
        return sorted(at for stream in self._sent.values() for at in stream.times(wanted))

    def answers(self) -> list[float]:
        """When each answer began to arrive, in order. To be asked after the end."""
        return sorted(at for stream in self._received.values() for at in stream.times(ANSWER))

    def received(self) -> bytes:
        """All that arrived."""
        return b"".join(bytes(stream.data) for stream in self._received.values())

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                packet, more, _, sender = self._sock.recvmsg(1 << 17, 256)
            except TimeoutError:
                continue
            if sender[1] != ETH_P_IP:
                continue
            for level, kind, data in more:
                if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                    seconds, nanoseconds = struct.unpack("qq", data[:16])
                    self._take(packet, seconds + nanoseconds / 1e9)

    def _take(self, packet: bytes, at: float) -> None:
        head = (packet[0] & 15) * 4
        if packet[9] != socket.IPPROTO_TCP:
            return
        total = struct.unpack_from("!H", packet, 2)[0] or len(packet)
        source, destination, sequence = struct.unpack_from("!HHI", packet, head)
        payload = packet[head + (packet[head + 12] >> 4) * 4 : total]
        if not payload:
            return
        if packet[12:16] == self._address and destination == self._port:
            self._sent[source].add(sequence, payload, at)
        elif packet[16:20] == self._address and source == self._port:
            self._received[destination].add(sequence, payload, at)
