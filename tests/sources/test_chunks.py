"""However a log's bytes are cut on their way to us, the same lines are hits."""

from __future__ import annotations

import io

from sidecar.cli.lines import chunks
from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from tests.filters.samples import NOW, all_samples

MATCHER = Matcher({"access": load("wordpress-access"), "plugin": load("wordpress")})
SITE = Origin("stdin", "-", jails=("access", "plugin"))
LINES = [line for name, line, who in all_samples() if name == "wordpress" and len(line) < 300 and who != "-"][
    :6
]
LOG = "".join(f"{line}\nhello\n\n" for line in LINES).encode()


class Cut:
    """A pipe that gives what was written in two pieces."""

    def __init__(self, data: bytes, at: int) -> None:
        self._pieces = [data[:at], data[at:], b""]

    def read1(self, size: int) -> bytes:
        return next(
            (piece for piece in iter(lambda: self._pieces.pop(0), None) if piece or not self._pieces), b""
        )


def hits(stream) -> list[tuple[str, str, str]]:
    found = [hit for data in chunks(stream) for hit in MATCHER.scan(Batch(SITE, data, Framing.NONE), NOW)]
    return [(hit.jail, hit.who, hit.line) for hit in found]


def test_a_log_cut_anywhere_has_the_same_hits():
    whole = hits(io.BufferedReader(io.BytesIO(LOG)))

    assert len(whole) == len(LINES)
    assert [at for at in range(len(LOG)) if hits(Cut(LOG, at)) != whole] == []
