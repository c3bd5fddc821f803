import json
import socket
import subprocess
import sys
import textwrap

import pytest

from sidecar.core.address import Address
from sidecar.runtime.dns import lookup_addresses
from tests.support.paths import ROOT


def test_an_address_is_its_own_answer():
    assert lookup_addresses("203.0.113.7") == (Address("203.0.113.7"),)
    assert lookup_addresses("2001:db8::7") == (Address("2001:db8::/64"),)


@pytest.mark.parametrize("name", ["no such name", "a" * 300, "a" * 70 + ".example"])
def test_a_name_that_no_server_can_know_has_no_address(name):
    assert lookup_addresses(name) == ()


def test_each_address_comes_once_in_the_resolvers_order(monkeypatch):
    texts = ("203.0.113.9", "2001:db8::1", "203.0.113.7", "2001:db8::2", "203.0.113.9", "::ffff:203.0.113.7")
    answer = [(socket.AF_UNSPEC, socket.SOCK_STREAM, 0, "", (text, 0)) for text in texts]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)

    assert lookup_addresses("crowd.example") == ("203.0.113.9", "2001:db8::/64", "203.0.113.7")


SCRIPT = """
import json, socket, struct, sys, threading
from sidecar.runtime.dns import lookup_addresses

A, AAAA = 1, 28
ZONE = {
    ("office.example.org", A): ["203.0.113.9", "203.0.113.7"],
    ("office.example.org", AAAA): ["2001:db8:1:2::3", "2001:db8:1:2::4", "::ffff:192.0.2.1"],
    ("crowd.example.org", A): [f"198.51.100.{n}" for n in range(60)],
}

def answer(query):
    '''One DNS message for another: what ZONE has, SERVFAIL for `broken`, else NXDOMAIN.'''
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    name, (kind, _) = ".".join(labels), struct.unpack("!HH", query[at + 1 : at + 5])
    found = ZONE.get((name, kind), [])
    known = any(name == other for other, _ in ZONE)
    code = 0 if known else 2 if name.startswith("broken") else 3
    head = query[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(found), 0, 0)
    records = b""
    for text in found:
        data = socket.inet_pton(socket.AF_INET if kind == A else socket.AF_INET6, text)
        records += b"\\xc0\\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data
    return head + query[12 : at + 5] + records

def serve(server):
    while True:
        query, client = server.recvfrom(512)
        server.sendto(answer(query), client)

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.53", 53))
threading.Thread(target=serve, args=(server,), daemon=True).start()
print(json.dumps([lookup_addresses(name) for name in sys.argv[1:]]))
"""


def test_a_real_name_server_is_asked(tmp_path):
    """In namespaces of its own: the machine's resolver is not asked, nor its resolv.conf touched."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:1 attempts:1\n")
    (tmp_path / "hosts").write_text("192.0.2.77 listed.example.org\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    mounts = " && ".join(
        f"mount --bind {tmp_path}/{name} $(readlink -f /etc/{name})"
        for name in ("resolv.conf", "hosts", "nsswitch.conf")
    )
    asked = [f"{name}.example.org" for name in ("office", "crowd", "nobody", "broken", "listed")]
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--propagation=private", "--", "sh", "-c",
         f'{mounts} && ip link set lo up && exec "$0" "$@"', sys.executable, str(tmp_path / "script.py"), *asked],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip

    assert done.stderr == ""
    office, crowd, nobody, broken, listed = json.loads(done.stdout)
    # Two of its IPv6 addresses are one customer's, and one is an IPv4 address in another form.
    assert sorted(office) == ["192.0.2.1", "2001:db8:1:2::/64", "203.0.113.7", "203.0.113.9"]
    assert len(crowd) == 60
    assert (nobody, broken, listed) == ([], [], ["192.0.2.77"])
