"""Of several addresses in the client's place the client is the first from the right that is no trusted proxy."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.access.chain import NO_PROXIES, Hop, Proxies, addresses, hop, without_port
from sidecar.access.detect import AccessLog
from sidecar.access.formats import known
from tests.support.effort import takes_less_than

CLIENT, VICTIM, CDN, BALANCER = "203.0.113.7", "192.0.2.1", "198.51.100.9", "2001:db8:1::2"
PROXIES = Proxies(["198.51.100.0/24", "2001:db8:1::/48"])
REST = '- - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 5112 "-" "Mozilla/5.0"'


@pytest.mark.parametrize(
    ("chain", "found"),
    [
        ([CLIENT], Hop(CLIENT, "")),
        ([VICTIM, CLIENT], Hop(CLIENT, "")),
        ([VICTIM, CLIENT, CDN], Hop(CLIENT, CDN)),
        ([VICTIM, CLIENT, CDN, BALANCER], Hop(CLIENT, CDN)),
        # Text that is no address was written by what the last proxy saw.
        (["unknown", CDN], Hop(CDN, "")),
        (["@", CLIENT, BALANCER], Hop(CLIENT, BALANCER)),
        ([CDN, BALANCER], Hop(CDN, BALANCER)),
        ([*["198.51.100.9"] * 5_000, CDN], Hop(CDN, CDN)),
    ],
)
def test_the_client_of_a_chain(chain, found):
    assert hop(chain, PROXIES) == found


@given(
    st.lists(st.one_of(st.text(), st.sampled_from([VICTIM, CDN, BALANCER])), max_size=9), st.ip_addresses()
)
def test_what_a_client_sent_never_replaces_the_address_that_a_proxy_appended(sent, client):
    chain = [*sent, str(client), CDN]

    assert hop(chain, Proxies(["198.51.100.9"])).client == str(client) or str(client) == CDN
    assert hop(chain[:-1], NO_PROXIES) == Hop(str(client), "")


def test_networks_of_proxies_are_of_both_versions():
    assert [each in PROXIES for each in (CDN, BALANCER, CLIENT, VICTIM, "2001:db8:2::2", "x", "")] == [
        True, True, False, False, False, False, False,
    ]  # fmt: skip
    assert (Proxies(["2001:db8:1::/48", "198.51.100.0/24"]) == PROXIES, PROXIES == NO_PROXIES) == (
        True,
        False,
    )
    assert len({PROXIES, Proxies(PROXIES.networks)}) == 1


def test_a_list_has_commas_or_blanks_ports_and_brackets():
    assert addresses(" 192.0.2.1:4711, [2001:db8::7]:80,2001:db8::8  unknown,, ") == (
        "192.0.2.1", "2001:db8::7", "2001:db8::8", "unknown",
    )  # fmt: skip
    assert [without_port(text) for text in ("[::1]", "[::1", "[::1]x", "::1", "1.2.3.4:5", "1.2.3.4:x", "")] == [
        "::1", "[::1", "[::1]x", "::1", "1.2.3.4", "1.2.3.4:x", "",
    ]  # fmt: skip


# --- In logs.


def clients(line, proxies=PROXIES, log=None):
    log = log or AccessLog(proxies=proxies)
    return {(request.client, request.peer) for request in log.requests(line)}


@pytest.mark.parametrize(
    ("first", "found"),
    [
        (f"{VICTIM}, {CLIENT}", (CLIENT, "")),
        (f"{VICTIM},{CLIENT}, {CDN}", (CLIENT, CDN)),
        (f"@, {CLIENT}", (CLIENT, "")),
        (f"unknown, {CLIENT}, {CDN}", (CLIENT, CDN)),
        (f"<script>x</script>, {CLIENT}", (CLIENT, "")),
        (f"{VICTIM}:4711, {CLIENT}", (CLIENT, "")),
    ],
)
def test_a_log_with_the_header_first(first, found):
    assert clients(f"{first} {REST}") == {found}


def test_without_trusted_proxies_the_last_address_is_the_client():
    assert clients(f"{CLIENT}, {CDN} {REST}", NO_PROXIES) == {(CDN, "")}


@pytest.mark.parametrize(
    "first",
    [
        # A header that looks like a client and a user name, and a user name that looks like the end of a header.
        f"{VICTIM} - -, {CLIENT}",
        f"x, {VICTIM} - -, {CLIENT}",
        f"{CLIENT} - x, {VICTIM}",
    ],
)
def test_where_the_header_stands_first_a_line_with_two_possible_clients_names_nobody(first):
    log = AccessLog()
    log.requests(f"{VICTIM}, {CLIENT} {REST}")

    assert clients(f"{first} {REST}", log=log) == set()
    assert log.examples[-1].startswith(first)


@pytest.mark.parametrize(
    "part",
    [
        "a,",
        "a, ",
        f", {VICTIM} - ",
        f"{VICTIM},",
        f"{VICTIM} ",
        f"{VICTIM} - ",
        "[30/Nov/2026:06:33:20 +0000] ",
    ],
)
@pytest.mark.parametrize("end", ["", '"', f" {REST}", f", {CLIENT} {REST}"])
def test_long_lines_are_read_at_once(part, end):
    log = AccessLog()
    log.requests(f"{VICTIM}, {CLIENT} {REST}")

    assert takes_less_than(0.5, lambda: log.requests(part * (65_536 // len(part)) + end))


def test_in_other_logs_a_user_name_that_looks_like_a_header_is_a_user_name():
    user = f"- x, {VICTIM} - -"

    # Also in a log's first line: an attacker who is alone in a log could hide all his guesses otherwise.
    assert clients(f"{CLIENT} {user} {REST.removeprefix('- - ')}") == {(CLIENT, "")}


def test_two_addresses_are_the_header_and_the_peer_once_a_log_has_them_in_each_line():
    log = AccessLog(proxies=PROXIES)
    line = f"{VICTIM} {CLIENT} {REST}"

    assert [clients(line, log=log) for _ in range(19)] == [set()] * 19
    assert clients(line, log=log) == {(CLIENT, "")}
    assert clients(f"{CLIENT} {CDN} {REST}", log=log) == {(CLIENT, CDN)}


@pytest.mark.parametrize("host", [VICTIM, "blog.example.com"])
def test_a_host_header_behind_the_client_names_nobody(host):
    log = AccessLog()
    log.requests(f"{CLIENT} blog.example.com {REST}")

    assert clients(f"{CLIENT} {host} {REST}", log=log) == {(CLIENT, "")}


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        (CLIENT, (CLIENT, CDN)),
        (f"{VICTIM}, {CLIENT}", (CLIENT, CDN)),
        (f"{VICTIM}, {CLIENT}, 198.51.100.77", (CLIENT, CDN)),
        (f"@, {CLIENT}", (CLIENT, CDN)),
        # What the last proxy appends is an address, so the peer itself wrote this.
        ("@", (CDN, CDN)),
        (f"{CLIENT}, unknown", (CDN, CDN)),
        ("", (CDN, CDN)),
    ],
)
def test_traefik_logs_the_whole_header_as_the_client(forwarded, found):
    record = {
        "ClientAddr": f"{CDN}:40526", "ClientHost": forwarded, "DownstreamStatus": 200, "RequestMethod": "POST",
        "RequestPath": "/wp-login.php",
    }  # fmt: skip

    assert clients(json.dumps(record)) == {found}


@pytest.mark.parametrize(
    ("client_ip", "header", "found"),
    [
        # Caddy takes the leftmost address unless `trusted_proxies_strict` is set.
        (VICTIM, [f"{VICTIM}, {CLIENT}"], CLIENT),
        (VICTIM, [VICTIM, CLIENT], CLIENT),
        (CLIENT, [CLIENT], CLIENT),
        (CLIENT, [f"{VICTIM}, {CLIENT}"], CLIENT),
        # From a header of another name.
        (CLIENT, [f"{VICTIM}, {CDN}"], CLIENT),
    ],
)
def test_caddys_client_is_the_rightmost_of_its_header(client_ip, header, found):
    record = {
        "request": {
            "remote_ip": CDN, "client_ip": client_ip, "method": "POST", "uri": "/wp-login.php",
            "headers": {"X-Forwarded-For": header},
        },
        "status": 200,
    }  # fmt: skip

    assert clients(json.dumps(record)) == {(found, CDN)}


def test_a_declared_format_is_certain():
    log = AccessLog(known("mine", '"$http_x_forwarded_for" $remote_addr "$request" $status'), proxies=PROXIES)

    assert clients(f'"{VICTIM}" {CLIENT} "POST /wp-login.php HTTP/1.1" 200', log=log) == {(CLIENT, "")}
