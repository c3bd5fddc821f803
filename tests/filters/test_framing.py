from datetime import UTC

import pytest

from sidecar.core.events import Framing
from sidecar.filters.framing import recognise, unwrapper

NOW = 1_795_338_000.0
MESSAGE = "wordpress(h)[8]: Empty username from 203.0.113.7"
WRAPPED = {
    Framing.DOCKER: [(f"2026-11-22T08:40:04.500000000Z {MESSAGE}", 1795336804.5, MESSAGE)],
    Framing.CRI: [
        (f"2026-11-22T08:40:04.500000000Z stderr F {MESSAGE}", 1795336804.5, MESSAGE),
        (f"2026-11-22T09:40:04+01:00 stdout P {MESSAGE}", 1795336804.0, MESSAGE),
    ],
    Framing.SYSLOG: [
        (f"<37>Nov 22 08:40:04 {MESSAGE}", 1795336804.0, f" {MESSAGE}"),
        (f"Nov 22 08:40:04 web1 {MESSAGE}", 1795336804.0, f" web1 {MESSAGE}"),
        (f"Nov  2 08:40:04 web1 {MESSAGE}", 1793608804.0, f" web1 {MESSAGE}"),
        (
            f"<37>1 2026-11-22T08:40:04.5Z web1 wordpress 8 - - {MESSAGE}",
            1795336804.5,
            f" web1 wordpress 8 - - {MESSAGE}",
        ),
        (f"<37>1 - web1 wordpress 8 - - {MESSAGE}", None, f" web1 wordpress 8 - - {MESSAGE}"),
    ],
    Framing.NONE: [(MESSAGE, None, MESSAGE)],
}
CASES = [(framing, *case) for framing, cases in WRAPPED.items() for case in cases]


@pytest.mark.parametrize(("framing", "line", "time", "text"), CASES)
def test_the_transports_time_and_the_text(framing, line, time, text):
    assert unwrapper(framing)(line, NOW, UTC) == (time, text)


@pytest.mark.parametrize("framing", Framing)
def test_a_line_without_the_wrapping_is_all_text(framing):
    assert unwrapper(framing)("x y", NOW, UTC) == (None, "x y")


@pytest.mark.parametrize(("framing", "line", "time", "text"), CASES)
def test_a_framing_is_recognised(framing, line, time, text):
    assert recognise(f"{line}\n{line}\nand one that is not\n".encode()) is framing


def test_an_empty_sample_and_an_access_log_have_no_framing():
    assert recognise(b"") is Framing.NONE
    assert (
        recognise(b'203.0.113.11 - - [22/Nov/2026:08:57:49 +0000] "GET / HTTP/1.1" 200 5\n') is Framing.NONE
    )
