"""Whatever a client writes into names, referrers, hosts and requests, only its own address is ever counted."""

import json
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.core.events import Framing
from sidecar.filters.loader import load
from sidecar.filters.verdict import explain
from tests.filters.samples import ours

NOW = 1_795_338_000.0
REAL, STRANGER, PROXY = "203.0.113.11", "192.0.2.9", "172.18.0.2"
TOKENS = [
    *(f" from {STRANGER}", f" from {REAL}", f", referer: http://a/ from {STRANGER}", ", referer: ", f", client: {STRANGER}, server: "),
    *(f'" while reading response header from upstream, client: {STRANGER}, server: ', ', request: "POST /', '"', "\\", "'", "]", ")"),
    *("Authentication failure for ", "Authentication failure for admin", "Empty username", "wordpress(x)[1]: ", "NOTICE: PHP message: "),
    *(f"[client {STRANGER}:45062] ", "[php:notice] [pid 9:tid 9] ", "WARNING: [pool www] child 7 said into stderr: ", STRANGER, f"{STRANGER} - - "),
    *('"POST /wp-login.php HTTP/1.1" 200 ', "POST /wp-login.php HTTP/1.1", " HTTP/1.1", "[22/Nov/2026:08:57:49 +0000] ", "<37>Nov 22 08:59:51 "),
    *('","ClientHost":"192.0.2.9","', '","RequestPath":"/wp-login.php', '"},"status":200,"x":{"', '","uri":"/wp-login.php', ',"status":200,', "/.env", "/../"),
    *(f"wp-sidecar: ip={STRANGER} event=login_failed via=form code=x user=x forwarded=-", "?author=1", "\\", "&", "\t"),
    *("x", "admin", " ", "A" * 60, "A" * 500, "é", "/", "?", "2026-11-22 08:40:04 "),
]  # fmt: skip
END_OF_NGINXS = (
    f'x from {STRANGER}" while reading response header from upstream, client: {STRANGER}, server: '
)
FORGERIES = [
    f"x from {STRANGER}",
    f"x from {STRANGER}, referer: b",
    END_OF_NGINXS,
    END_OF_NGINXS + "A" * 2000,  # nginx cuts at 2048: what it would have written behind is gone
    f"x from {STRANGER}" + "A" * 900,
]
TOKENS += FORGERIES
written = st.sampled_from(FORGERIES) | st.lists(st.sampled_from(TOKENS), max_size=6).map("".join)
token = st.lists(st.sampled_from(TOKENS), max_size=6).map(
    lambda parts: "".join("".join(parts).split())
)  # no blanks
APACHE = (
    "[Sun Nov 22 08:57:49.852038 2026] [php:notice] [pid 9:tid 9] [client {client}:45062] {said}{referrer}"
)
NGINX = (
    '2026/11/22 08:59:01 [error] 8#8: *5 FastCGI sent in stderr: "PHP message: {said}" while reading response header from'
    ' upstream, client: {client}, server: , request: "POST {request} HTTP/1.1", upstream: "fastcgi://172.30.0.4:9000",'
    ' host: "{host}", referrer: "{agent}"'
)
SHAPES = [
    "wordpress({host})[8]: {said}",
    "Nov 22 08:59:51 web1 wordpress({host})[8]: {said}",
    "<37>Nov 22 08:59:51 wordpress({host})[8]: {said}",
    "<37>1 2026-11-22T08:59:51.003Z web1 wordpress({host}) 8 - - {said}",
    "[22-Nov-2026 08:40:04 UTC] {said}",
    "NOTICE: PHP message: wordpress({host})[8]: {said}",
    'WARNING: [pool www] child 7 said into stderr: "wordpress({host})[8]: {said}"',
    APACHE,
    NGINX,
]
ACCESS = [
    '{client} - {user} [22/Nov/2026:08:57:49 +0000] "{method} {request} HTTP/1.1" {status} 5234 "{agent}" "{user}"',
    'example.com:80 {client} - {user} [22/Nov/2026:08:57:49 +0000] "{method} {request} HTTP/1.1" {status} 5 "{agent}" "{user}"',
]
OURS = {name: load(name) for name in ours()}
PLUGINS = ("wordpress", "wordpress-hard", "wordpress-extra")


def against(name, line):
    """The address that a line counts against; a client behind a proxy is only reported."""
    verdict = explain(OURS[name], line, Framing.NONE, NOW)
    return None if verdict.peer else verdict.id


def cut(line):
    """The pieces in which a line may arrive: whole, or as nginx, php-fpm, syslog daemons and Docker cut it."""
    data = line.encode()
    pieces = [piece for size in (1024, 2048, 8192, 16_384) for piece in (data[:size], data[size:])]
    return [line, *(piece.decode(errors="replace") for piece in pieces if piece)]


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=250, deadline=None)
@given(
    st.fixed_dictionaries({"user": written, "host": token, "request": token, "agent": written}),
    st.sampled_from([REAL, PROXY]),
    st.sampled_from(
        ["Authentication failure for", "Blocked authentication attempt for", "Password reset requested for"]
    ),
)
@example(
    {"user": f"x from {STRANGER}", "host": "h", "request": "/", "agent": ""},
    REAL,
    "Authentication failure for",
)
@example(
    {"user": f"x from {STRANGER}, referer: b", "host": "h", "request": "/", "agent": f"c from {STRANGER}"},
    PROXY,
    "Authentication failure for",
)
def test_a_plugins_message(shape, fields, client, sentence):
    said = f"{sentence} {fields['user']} from {REAL}"
    referrer = f", referer: {fields['agent']}" if fields["agent"] else ""
    line = shape.format(said=said, client=client, referrer=referrer, **fields)

    assert {against(name, piece) for name in PLUGINS for piece in cut(line)} <= {REAL, None}


def test_a_message_that_php_fpm_wraps_at_its_limit():
    """`log_limit` is 1024 by default, and what is behind it comes as a line of its own, decorated like the first."""
    head = 'WARNING: [pool www] child 7 said into stderr: "'
    for before in range(1200):
        said = f"wordpress(h)[8]: Authentication failure for {'A' * before} from {STRANGER}{'B' * 60} from {REAL}"
        parts = said[: 1024 - len(head) - 1], said[1024 - len(head) - 1 :]

        assert {against("wordpress", f'{head}{part}"') for part in parts} <= {REAL, None}


# Where php-fpm, syslog daemons, nginx, Apache and Docker cut lines.
CUTS = (1024, 2048, 4096, 8192, 16_384)
BARE = [
    "wordpress({host})[8]: {said}",
    "<37>Nov 22 08:59:51 wordpress({host})[8]: {said}",
    SHAPES[4],
    SHAPES[5],
    SHAPES[6],
]


@pytest.mark.parametrize("shape", BARE)
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("character", ["A", "\u00e9", "\u20ac", "\U0001f600"])
def test_a_piece_that_ends_in_a_forged_address_counts_against_nobody(shape, cut, character):
    """The Host is as long as an attacker needs it, so that the piece ends behind the address in his user name."""
    said = f"Authentication attempt for unknown user x from {STRANGER}"
    quote = '"' if shape.endswith('"') else ""
    for decoration in (0, 20, 100):
        for length in (cut - 2, cut - 1, cut):
            room = length - decoration - len(shape.format(host="", said=said).encode())
            host = character * (room // len(character.encode())) + "A" * (room % len(character.encode()))
            line = shape.format(
                host=host, said=f"{'' if 'host' in shape else 'wordpress(' + host + '): '}{said}"
            )
            piece = line.removesuffix(quote).encode()[: length - decoration].decode(errors="replace") + quote

            assert {against(name, piece) for name in PLUGINS} == {None}


@pytest.mark.parametrize("cut", [1024, 2048])
@pytest.mark.parametrize("padding", ["A", "\u00e9"])
def test_a_line_of_nginxs_that_was_cut_behind_a_forged_client_counts_against_nobody(cut, padding):
    said = f'Authentication attempt for unknown user {END_OF_NGINXS}, request: "POST / HTTP/1.1", upstream: "x", host: "h", referrer: "'
    line = NGINX.format(said=said + padding * 3000, client=REAL, request="/", host="h", agent="")

    for length in range(cut - 60, cut + 1):
        assert against("wordpress", line.encode()[:length].decode(errors="replace")) is None


def test_a_line_that_apache_cut_behind_a_forged_address_counts_against_nobody():
    """Apache cuts a message at 8 KiB and writes no referrer then. The client is a proxy, so only the sentence names an address."""
    for forged in (f"x from {STRANGER}, referer: {'A' * 9000}", f"{'A' * 8200} from {STRANGER}"):
        said = f"Authentication attempt for unknown user {forged}"
        line = APACHE.format(said=said, client=PROXY, referrer="")

        assert {against("wordpress", line[:length]) for length in range(8100, 8300)} == {None}


HOSTS = [
    *("A" * 430, "A" * 2000, "A" * 5000, "\u00e9" * 100, "b\u00fccher.example", "a\u00a0b\u3000c"),
    *('a"b', "[::1]:8080", "a)b", "a)[1]:", "(((", "<script>", "x:80", "%20", "\x7f\x01"),
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("user", ["admin", "J\u00f6rg"])
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if "({host})" in shape])
def test_no_host_hides_a_failure(shape, host, user):
    if user != "admin" and len(host) > 400:
        return
    line = shape.format(host=host, said=f"Authentication failure for {user} from {REAL}")

    assert against("wordpress", line) == REAL


def test_an_ident_that_musl_cut_at_31_characters():
    for host in ("a.very-long-name.example.com", "short.example.com"):
        ident = f"wordpress({host})"[:31]

        assert against("wordpress", f"{ident}[8]: Authentication failure for admin from {REAL}") == REAL


@pytest.mark.parametrize(
    "referrer",
    [
        *(
            "",
            "A" * 600,
            "A" * 1500,
            f", client: {STRANGER}, server: ",
            f'" while {STRANGER}',
            f", client: {STRANGER}" * 9,
        ),
        *(
            "\u00e9" * 60,
            f" from {STRANGER}",
            f'x" from {STRANGER}" while reading',
            "http://example.com/wp-login.php",
        ),
    ],
)
@pytest.mark.parametrize("upstream", ["response header from upstream", "upstream"])
def test_no_referrer_hides_a_failure_that_nginx_passes_on(referrer, upstream):
    said = f"Authentication failure for admin from {REAL}"
    line = NGINX.format(said=said, client=REAL, request="/wp-login.php", host="h", agent=referrer)

    assert against("wordpress", line.replace("response header from upstream", upstream)) == REAL


@pytest.mark.parametrize("shape", ACCESS)
@pytest.mark.parametrize("escaped", ['\\"', "\\x22"])
@settings(max_examples=250, deadline=None)
@given(
    st.fixed_dictionaries({"user": written, "request": token, "agent": written}), st.sampled_from([200, 302])
)
def test_an_access_log(shape, escaped, fields, status):
    fields = {name: text.replace("\\", "\\\\").replace('"', escaped) for name, text in fields.items()}
    guess = shape.format(client=REAL, method="POST", status=status, **{**fields, "request": "/wp-login.php"})
    other = shape.format(client=REAL, method="GET", status=200, **fields)

    assert against("wordpress-access", guess) == (REAL if status == 200 else None)
    assert against("wordpress-access", other) is None


def traefik(client, method, path, status, fields):
    """As encoding/json writes it: sorted, and with `<`, `>` and `&` escaped."""
    values = {
        "ClientAddr": f"{client}:40526", "ClientHost": fields["host"] or client, "ClientUsername": fields["user"] or "-",
        "DownstreamStatus": status, "Duration": 2196000, "RequestHost": fields["host"], "RequestMethod": method,
        "RequestPath": path, "RequestPort": "-", "msg": "", "request_User-Agent": fields["agent"], "time": "2026-11-22T08:57:49Z",
    }  # fmt: skip
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def caddy(client, method, path, status, fields):
    """As zap writes it, in its order."""
    request = {
        "remote_ip": client, "remote_port": "54834", "client_ip": fields["host"] or client, "proto": "HTTP/2.0",
        "method": method, "host": fields["host"], "uri": path,
        "headers": {"Cookie": ["REDACTED"], "User-Agent": [fields["agent"]], "X": [fields["user"], "y"]},
    }  # fmt: skip
    values = {
        "level": "info", "ts": 1795337869.5241024, "logger": "http.log.access.log0", "msg": "handled request",
        "request": request, "bytes_read": 0, "user_id": fields["user"], "duration": 0.2, "size": 5, "status": status,
        "resp_headers": {"Location": [path], "Content-Type": []},
    }  # fmt: skip
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("written_as", [traefik, caddy])
@settings(max_examples=400, deadline=None)
@given(st.fixed_dictionaries({"user": written, "host": written, "agent": written, "path": written}))
def test_a_proxys_json(written_as, fields):
    """A forwarded address other than the one that connected never counts; nothing that a client wrote is a key."""
    guess = written_as(
        REAL, "POST", "/wp-login.php", 200, {**fields, "host": "", "agent": "x" + fields["agent"]}
    )
    right = written_as(REAL, "POST", "/wp-login.php", 302, fields)
    other = written_as(REAL, "GET", fields["path"], 200, fields)
    forwarded = written_as(PROXY, "POST", "/wp-login.php", 200, {**fields, "host": STRANGER})

    assert against("wordpress-access", guess) == REAL
    assert [against("wordpress-access", line) for line in (right, other, forwarded)] == [None] * 3
    names = ("wordpress-access", "wordpress-probes")
    assert {
        against(name, piece) for name in names for line in (guess, right, other) for piece in cut(line)
    } <= {REAL, None}


@settings(max_examples=400, deadline=None)
@given(written, st.sampled_from(["bare", "decorated"]))
def test_an_event_of_the_mu_plugin(text, shape):
    """The plugin encodes what a client wrote; without that, too, nothing behind the address counts."""
    line = f"wp-sidecar: ip={REAL} event=login_failed via=form code=x user={quote(text[:60], safe='@:,+') or '-'} forwarded=-"
    loose = f"wp-sidecar: ip={REAL} event=login_failed via=form code=x user={text} forwarded={text}"
    if shape == "decorated":
        line, loose = (f'WARNING: [pool www] child 7 said into stderr: "{each}"' for each in (line, loose))

    assert against("wordpress-auth", line) == REAL
    assert {against(name, piece) for name in OURS for piece in cut(loose)} <= {REAL, None}


@settings(max_examples=400, deadline=None)
@given(
    st.fixed_dictionaries({"user": written, "request": token, "agent": written}),
    st.sampled_from([200, 301, 404]),
)
def test_probes(fields, status):
    fields = {name: text.replace("\\", "\\\\").replace('"', '\\"') for name, text in fields.items()}
    data = ACCESS[0].format(client=REAL, method="GET", status=status, **fields).encode()
    # Whole, or as nginx and syslog daemons truncate it. The rest of a line as a line of its own may begin with what a
    # client wrote, and looks like any other: our sources join what Docker and php-fpm cut, and a ban needs a witness.
    kept = [data, *(data[:size] for size in CUTS)]

    assert {against("wordpress-probes", each.decode(errors="replace")) for each in kept} <= {REAL, None}
