import json

import pytest

from sidecar.access.json_lines import JsonFormat

AGENT = "Mozilla/5.0"
TRAEFIK = {
    "ClientAddr": "203.0.113.7:40526",
    "ClientHost": "203.0.113.7",
    "DownstreamStatus": 200,
    "RequestHost": "blog.example.com",
    "RequestMethod": "POST",
    "RequestPath": "/wp-login.php",
    "StartUTC": "2026-11-30T06:33:20Z",
    "request_User-Agent": AGENT,
}
CADDY = {
    "level": "info",
    "ts": 1796020400.0,
    "logger": "http.log.access",
    "request": {
        "remote_ip": "203.0.113.7",
        "client_ip": "203.0.113.7",
        "method": "POST",
        "host": "blog.example.com",
        "uri": "/wp-login.php",
        "headers": {"User-Agent": [AGENT]},
    },
    "status": 200,
}
NGINX = {
    "time": "2026-11-30T06:33:20+00:00",
    "remote_addr": "203.0.113.7",
    "request": "POST /wp-login.php HTTP/2.0",
    "status": "200",
    "http_user_agent": AGENT,
    "host": "blog.example.com",
}
NGINX_PARTS = {
    "msec": "1796020400.000",
    "remote_addr": "203.0.113.7",
    "request_method": "POST",
    "uri": "/wp-login.php",
    "args": "",
    "status": 200,
    "http_user_agent": AGENT,
    "host": "blog.example.com",
}
APACHE = {
    "time": "[30/Nov/2026:06:33:20 +0000]",
    "remoteIP": "203.0.113.7",
    "host": "blog.example.com",
    "requestLine": "POST /wp-login.php HTTP/1.1",
    "status": "200",
    "userAgent": AGENT,
}
ECS = {
    "@timestamp": "2026-11-30T06:33:20Z",
    "client": {"ip": "203.0.113.7"},
    "http": {"request": {"method": "POST"}, "response": {"status_code": 200}},
    "url": {"original": "/wp-login.php", "domain": "blog.example.com"},
    "user_agent": {"original": AGENT},
}
ALL = {
    "Traefik": TRAEFIK,
    "Caddy": CADDY,
    "nginx": NGINX,
    "nginx parts": NGINX_PARTS,
    "Apache": APACHE,
    "ECS": ECS,
}


@pytest.mark.parametrize("record", ALL.values(), ids=ALL)
def test_the_same_request_by_other_names(record):
    (request,) = JsonFormat().requests(json.dumps(record))

    assert (request.canonical, request.time) == (
        '203.0.113.7 POST /wp-login.php 200 ? blog.example.com "Mozilla/5.0"',
        1_796_020_400.0,
    )


def test_the_client_behind_a_trusted_proxy_and_the_peer_are_told_apart():
    (request,) = JsonFormat().requests(json.dumps({**TRAEFIK, "ClientAddr": "172.71.122.85:11029"}))

    assert (request.client, request.peer) == ("203.0.113.7", "172.71.122.85")


@pytest.mark.parametrize(
    ("record", "user"),
    [
        ({**NGINX, "remote_user": "editor"}, "editor"),
        ({**NGINX, "remote_user": "-"}, ""),
        ({**CADDY, "user_id": "editor"}, ""),
        ({**CADDY, "request": {**CADDY["request"], "headers": {"Authorization": ["REDACTED"]}}}, "REDACTED"),
        ({**TRAEFIK, "request_Authorization": "REDACTED"}, "REDACTED"),
        ({**ECS, "user": {"name": "editor"}}, "editor"),
        # The proxy itself asked for it, and accepted it.
        ({**TRAEFIK, "ClientUsername": "editor"}, ""),
    ],
)
def test_the_user_name_that_a_client_sent_to_the_site(record, user):
    (request,) = JsonFormat().requests(json.dumps(record))

    assert request.user == user


@pytest.mark.parametrize("address", ["[2001:db8::7]:40526", "2001:db8::7", "[2001:db8::7]"])
def test_ipv6_addresses_lose_brackets_and_port(address):
    (request,) = JsonFormat().requests(json.dumps({**NGINX, "remote_addr": address}))

    assert request.client == "2001:db8::7"


@pytest.mark.parametrize(
    "text",
    [
        r'{"remote_addr":"203.0.113.7","request":"POST /wp-login.php HTTP/1.1","status":200,"http_user_agent":"\x22\x1b"}',
        '{"remote_addr":"203.0.113.7","request":"POST /wp-login.php HTTP/1.1","upstream_time":-,"status":200}',
        '{"remote_addr":"203.0.113.7","request":"POST /wp-login.php HTTP/1.1","status":200,"agent":"cut',
    ],
)
def test_a_line_that_is_nearly_json_excuses_nobody(text):
    (request,) = JsonFormat().requests(text)

    assert (request.client, request.method, request.path, request.status) == (
        "203.0.113.7",
        "POST",
        "/wp-login.php",
        200,
    )


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", '{"level":"info","msg":"started"}', "{" * 2000, '{"a":' * 1500 + "1" + "}" * 1500],
)
def test_what_is_no_request_is_none(text):
    assert JsonFormat().requests(text) == ()


def test_the_kind_is_shown_to_people():
    assert [JsonFormat().of_log(json.dumps(each)).name for each in (TRAEFIK, CADDY, NGINX, ECS)] == [
        "Traefik JSON",
        "Caddy JSON",
        "nginx JSON",
        "JSON",
    ]
