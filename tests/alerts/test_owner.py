import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sidecar.alerts.owner import NetworkOwner, describe_rdap

ANSWER = {
    "handle": "NET-203-0-113-0-1",
    "name": "EXAMPLE-NET\x1b[2J",
    "country": "DE",
    "startAddress": "203.0.113.0",
    "endAddress": "203.0.113.255",
    "cidr0_cidrs": [{"v4prefix": "203.0.113.0", "length": 24}],
    "entities": [
        {
            "roles": ["registrant"],
            "vcardArray": ["vcard", [["fn", {}, "text", "Example Ltd"]]],
            "entities": [
                {"roles": ["abuse"], "vcardArray": ["vcard", [["email", {}, "text", "abuse@example.net"]]]}
            ],
        }
    ],
}


@pytest.fixture
def rdap():
    """A registry; `answer` is what it says, and `asked` what it was asked."""

    class Registry(BaseHTTPRequestHandler):
        answer, asked = (200, json.dumps(ANSWER).encode()), []

        def do_GET(self):
            self.asked.append(self.path)
            status, body = Registry.answer
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    Registry.url = f"http://127.0.0.1:{server.server_port}/ip/"
    yield Registry
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def whois():
    """A whois server that answers one question."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                assert connection.recv(100) == b"203.0.113.7\r\n"
                connection.sendall(b"% a remark\r\n\r\nnetname: EXAMPLE\r\ncountry: \x1b[2JDE\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()
        thread.join()


def test_rdap_names_the_network_and_its_contacts(rdap):
    assert NetworkOwner(rdap.url).lines("203.0.113.7") == [
        "Network: EXAMPLE-NET\\x1b[2J",
        "Handle: NET-203-0-113-0-1",
        "Range: 203.0.113.0/24",
        "Country: DE",
        "Contact (registrant): Example Ltd",
        "Contact (abuse): abuse@example.net",
    ]
    assert rdap.asked[-1] == "/ip/203.0.113.7"


def test_an_address_is_asked_for_once_in_a_row(rdap):
    rdap.asked.clear()
    owner = NetworkOwner(rdap.url)
    assert owner.lines("203.0.113.7") == owner.lines("203.0.113.7")
    owner.lines("203.0.113.8")

    assert rdap.asked == ["/ip/203.0.113.7", "/ip/203.0.113.8"]


def test_a_network_is_asked_for_by_its_first_address(rdap):
    NetworkOwner(rdap.url).lines("2001:db8::/64")

    assert rdap.asked[-1] == "/ip/2001:db8::"


@pytest.mark.parametrize("answer", [(404, b""), (200, b"no JSON"), (200, b"[]"), (200, b"{}")])
def test_whois_is_asked_where_rdap_says_nothing(rdap, whois, answer):
    rdap.answer = answer

    assert NetworkOwner(rdap.url, whois).lines("203.0.113.7") == ["netname: EXAMPLE", "country: \\x1b[2JDE"]


def test_nobody_answers():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    lines = NetworkOwner(f"http://127.0.0.1:{port}/", ("127.0.0.1", port)).lines("203.0.113.7")
    assert lines == ["(neither RDAP nor whois answered: Connection refused)"]


def test_a_range_without_prefixes_is_shown_by_its_ends():
    answer = {"handle": "X", "startAddress": "a", "endAddress": "b", "entities": [{"vcardArray": []}, 5]}

    assert describe_rdap(answer) == ["Handle: X", "Range: a - b"]
