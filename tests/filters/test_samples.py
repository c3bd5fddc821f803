from collections import Counter
from pathlib import Path

import pytest

from sidecar.core.events import Framing
from sidecar.filters.line_text import MAX_LINE_BYTES
from sidecar.filters.loader import load, pack
from sidecar.filters.verdict import explain
from tests.filters.samples import NOW, all_samples, ours
from tests.support.effort import takes_less_than

FILTERS = {name: load(name) for name in ours()}


@pytest.mark.parametrize(("name", "line", "address"), all_samples())
def test_a_sample_counts_against_the_address_it_names(name, line, address):
    verdict = explain(FILTERS[name], line, Framing.NONE, NOW)

    # A client behind a proxy is reported, and does not count.
    assert (None if verdict.peer else verdict.id) == (None if address == "-" else address)


def test_every_filter_has_samples():
    assert sorted(path.stem for path in pack().glob("*.samples")) == ours()


def test_there_are_enough_samples_of_each_kind():
    """Of the whole pack; each filter alone has its share of each kind."""
    kinds = Counter((name, "benign" if address == "-" else "hostile") for name, _, address in all_samples())
    naming = [address for _, line, address in all_samples() if "192.0.2." in line]

    assert sum(count for (_, kind), count in kinds.items() if kind == "benign") >= 60
    assert sum(count for (_, kind), count in kinds.items() if kind == "hostile") >= 120
    assert len(naming) >= 30
    assert {key: count for key, count in kinds.items() if count < 10} == {}


def test_an_address_that_a_client_only_names_is_never_hit():
    naming = [(name, line) for name, line, address in all_samples() if address.startswith("192.0.2.")]

    assert naming == []


ACCESS = '203.0.113.7 - - [22/Nov/2026:08:57:49 +0000] "POST '
APACHE = "[Sun Nov 22 08:57:49 2026] [php:notice] [pid 9:tid 9] [client 203.0.113.7:1] Authentication failure for x"


def test_no_filter_counts_what_people_do_every_day():
    """The log is of a real WordPress in use: themes, REST, media, cron, the editor, a login.

    A form for a lost password that is shown again is a POST to wp-login.php like a guess: its two lines count.
    """
    lines = (Path(__file__).parent / "people.log").read_text().split("\n")[:-1]
    hit = [
        (name, line)
        for name, rules in FILTERS.items()
        for line in lines
        if explain(rules, line, Framing.NONE, NOW).matched and "action=lostpassword" not in line
    ]

    assert len(lines) >= 100
    assert hit == []


GET = '203.0.113.7 - - [22/Nov/2026:08:57:49 +0000] "GET '
TRAEFIK = '{"ClientAddr":"203.0.113.7:1","ClientHost":"203.0.113.7"'
JSON_REST = ',"DownstreamStatus":200,"RequestMethod":"POST","RequestPath":"'
CADDY = (
    '{"level":"info","ts":1795337869.5,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"203.0.113.7",'
    '"remote_port":"1","client_ip":"203.0.113.7","proto":"HTTP/2.0","method":"POST","host":"h","uri":"/"'
)
LONG = [
    *(ACCESS + part * MAX_LINE_BYTES for part in ("/wp-login.php", "/wp-login.php/..", "/", '\\"', "?action=rp&", "/xmlrpc.php?for=jetpack ")),
    *(ACCESS + "/wp-login.php?" + part * MAX_LINE_BYTES for part in ("action=rp&", "x", "%61ction=")),
    *(part * MAX_LINE_BYTES for part in ("[", "1", " ", "a.", "1:", "[22/Nov/2026:08:57:49 +0000] ", "<37>1 ", "wordpress(", '\\"')),
    *(APACHE + part * MAX_LINE_BYTES for part in (" from 203.0.113.7, referer: ", ", referer: ", " from 203.0.113.8", ", client: ")),
    "wordpress: " + "Authentication failure for x from " * MAX_LINE_BYTES,
    "<37>1 2026-11-22T08:59:51Z h wordpress 8 - " + "[a]" * MAX_LINE_BYTES,
    *(GET + part * MAX_LINE_BYTES for part in ("/../", "/?x=../../", "/.env", "/%2e%2e/", "/wp-content/plugins/a/", "/?author=1&", "/x\\\\")),
    *(GET + "/?" + part * MAX_LINE_BYTES for part in ("author=1&", "rest_route=/wp/v2/users", "../", "\\u0026author=1")),
    *(TRAEFIK + part * MAX_LINE_BYTES for part in (',"DownstreamStatus":200', ',"RequestPath":"/wp-login.php"', '"', "\\", ',"time":"')),
    *(TRAEFIK + JSON_REST + part * MAX_LINE_BYTES for part in ("/wp-login.php/..", "/../", "/.env", '","RequestPath":"', "?author=1")),
    *(CADDY + part * MAX_LINE_BYTES for part in (',"uri":"/wp-login.php"', ',"status":200', '"', "/..", ',"uri":"/.env')),
    *("wp-sidecar: ip=203.0.113.7 event=" + part * MAX_LINE_BYTES for part in ("login_failed ", "a", "user=%20")),
    'WARNING: [pool www] child 7 said into stderr: "wp-sidecar: ip=' + "1." * MAX_LINE_BYTES,
]  # fmt: skip


@pytest.mark.parametrize("name", FILTERS)
def test_no_odd_line_takes_long(name):
    """To walk through a line a few times takes milliseconds, to do so for each character many seconds."""

    def explained(line):
        return lambda: explain(FILTERS[name], line[:MAX_LINE_BYTES], Framing.NONE, NOW)

    assert [line[:80] for line in LONG if not takes_less_than(0.5, explained(line))] == []
