import pytest

from sidecar.access.detect import AccessLog
from sidecar.access.pairs import LogfmtFormat, LtsvFormat

LTSV = "time:30/Nov/2026:06:33:20 +0000\thost:{}\treq:POST /wp-login.php HTTP/1.1\tstatus:200\tua:x"
LOGFMT = (
    'time=2026-11-30T06:33:20Z remote_addr=203.0.113.7 method=POST uri="/wp-login.php" status=200 ua="{}"'
)


FORMATS = LtsvFormat(), LogfmtFormat()


def read(line):
    found = [request for each in FORMATS for request in each.requests(line)]
    return [(each.client, each.method, each.path, each.status, each.time) for each in found]


FOUND = [("203.0.113.7", "POST", "/wp-login.php", 200, 1_796_020_400.0)]


@pytest.mark.parametrize("line", [LTSV.format("203.0.113.7"), LOGFMT.format("Mozilla/5.0 (X11)")])
def test_names_and_values(line):
    assert read(line) == FOUND


def test_one_line_does_not_show_that_a_log_is_of_names_and_values():
    """It needs no quotes, so a client could write one into a log whose long lines are cut."""
    log = AccessLog()
    lines = [log.requests(LOGFMT.format("x")) for _ in range(20)]

    assert ([len(found) for found in lines], log.format) == ([0] * 19 + [1], "logfmt")
    assert AccessLog().requests(LTSV.format("203.0.113.7"))


@pytest.mark.parametrize(
    "agent", [r"x\" remote_addr=192.0.2.1 status=302", r"x\\", "x remote_addr=192.0.2.1 status=302", "a=b"]
)
def test_what_stands_in_quotes_is_no_pair(agent):
    assert read(LOGFMT.format(agent)) == FOUND


def test_a_second_client_outside_of_quotes_makes_it_nobodys():
    assert read(LOGFMT.replace('"{}"', "x remote_addr=192.0.2.1")) == []


def test_in_ltsv_the_host_is_the_client_unless_another_field_is():
    assert read(LTSV.format("192.0.2.1") + "\tremote_addr:203.0.113.7") == FOUND
    assert read(LTSV.format("192.0.2.1") + "\tvisitor:203.0.113.7") == []
    assert read(LTSV.format("203.0.113.7") + "\tvhost:192.0.2.1\tx:192.0.2.1\treferer:192.0.2.1") == FOUND
    assert read(LTSV.format("203.0.113.7") + "\treferer:192.0.2.1") == FOUND
    assert read(LTSV.format("203.0.113.7") + "\tforwardedfor:192.0.2.1\tupstream_addr:172.18.0.3:80") == FOUND


@pytest.mark.parametrize(
    "line", ["", "x", "a=b", "a:b\tc:d", "level=info msg=started port=80", "time:1\ta:b\tc:d"]
)
def test_other_lines_are_no_requests(line):
    assert read(line) == []
