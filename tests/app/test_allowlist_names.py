import json
import subprocess
import sys
import textwrap
import threading

import pytest

from sidecar.app.allowlist_names import MOST, STALE, Names, addresses
from sidecar.core.address import Address
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

ANN, BOB = Address("203.0.113.7"), Address("2001:db8::/64")


class Server:
    """A name server, as far as the service sees one."""

    def __init__(self, **known):
        self.known, self.asked = {name.replace("_", "."): address for name, address in known.items()}, []

    def __call__(self, name):
        self.asked.append(name)
        return self.known.get(name, ())


class Told:
    """Who is told, and of what."""

    def __init__(self):
        self.times, self.problems, self.now = 0, {}, 0.0

    def __call__(self):
        self.times += 1

    def report(self, name, sentence, /, *, critical=True):
        assert sentence is None or not critical  # no reason to be unready
        self.problems[name] = sentence

    def clock(self):
        return self.now


@pytest.fixture
def told():
    return Told()


def service(told, server, *names):
    return Names(names, told, told.report, server, told.clock)


def test_names_are_looked_up_and_their_answers_told_once(told):
    names = service(
        told, Server(office_example=(ANN,), home_example=(ANN, BOB)), "office.example", "home.example"
    )
    names.look()
    names.look()

    assert names.known == {"office.example": (ANN,), "home.example": (ANN, BOB)}
    assert told.times == 1
    assert told.problems == {"the name office.example": None, "the name home.example": None}


def test_a_new_answer_replaces_the_old(told):
    server = Server(office_example=(ANN,))
    names = service(told, server, "office.example")
    names.look()
    server.known["office.example"] = (BOB,)
    names.look()

    assert (names.known, told.times) == ({"office.example": (BOB,)}, 2)


def test_the_last_good_answer_holds_and_after_an_hour_somebody_is_told(told):
    server = Server(office_example=(ANN,))
    names = service(told, server, "office.example")
    names.look()
    server.known.clear()
    told.now = STALE
    names.look()
    assert told.problems == {"the name office.example": None}

    told.now = 3 * STALE
    names.look()
    assert names.known == {"office.example": (ANN,)}
    assert told.problems == {
        "the name office.example": "office.example in ignoreip has not resolved for 3 h; "
        "203.0.113.7 stays on the never-ban list"
    }
    assert told.times == 1


def test_a_name_that_never_resolved_is_told_and_so_is_its_recovery(told):
    server = Server()
    names = service(told, server, "ofice.example")
    names.look()
    sentence = (
        "ofice.example in ignoreip does not resolve, so whoever it stands for may be banned; correct it"
    )
    assert told.problems == {"the name ofice.example": sentence}

    server.known["ofice.example"] = (ANN,)
    names.look()
    assert told.problems == {"the name ofice.example": None}


def test_a_name_that_left_the_configuration_is_let_go(told):
    names = service(told, Server(office_example=(ANN,)), "office.example", "gone.example")
    names.look()
    names.use(["gone.example"])
    names.look()

    assert names.known == {}
    assert told.problems["the name office.example"] is None


def test_the_same_names_again_are_no_reason_to_ask_at_once(told):
    names = service(told, Server(), "office.example")
    names._soon.clear()
    names.use(["office.example"])
    assert not names._soon.is_set()

    names.use(["office.example", "home.example"])
    assert names._soon.is_set()


def test_a_slow_name_keeps_no_other_waiting_and_is_not_asked_twice(told):
    go = threading.Event()
    asked = []

    def lookup(name):
        asked.append(name)
        if name == "slow.example":
            go.wait(10)
        return (ANN,)

    names = service(told, lookup, "slow.example", "fast.example")
    names.look(patience=0.2)
    names.look(patience=0.2)
    assert names.known == {"fast.example": (ANN,)}
    assert sorted(asked) == ["fast.example", "fast.example", "slow.example"]

    go.set()
    wait_until(lambda: names.look() or len(names.known) == 2)
    assert names.known == {"fast.example": (ANN,), "slow.example": (ANN,)}


def test_the_start_waits_for_the_first_answers_but_not_for_long(told):
    go = threading.Event()
    names = service(told, lambda _: go.wait(10) and (ANN,), "slow.example")
    names.first(0.05)  # nobody runs it yet
    go.set()
    thread = threading.Thread(target=names.run)
    thread.start()
    names.first(10)
    known = names.known
    names.close()
    thread.join(10)

    assert known == {"slow.example": (ANN,)}
    assert not thread.is_alive()


def test_nobody_waits_where_there_is_no_name(told):
    service(told, Server()).first(60)


SCRIPT = """
import json, socket, struct, sys, threading
from sidecar.app.allowlist_names import addresses

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
print(json.dumps([addresses(name) for name in sys.argv[1:]]))
"""


def test_against_a_name_server(tmp_path):
    """A real one, in namespaces of its own: the machine's resolver is not asked, nor its resolv.conf touched."""
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
    assert office == ["192.0.2.1", "2001:db8:1:2::/64", "203.0.113.7", "203.0.113.9"]
    assert len(crowd) == MOST
    assert (nobody, broken, listed) == ([], [], ["192.0.2.77"])


def test_what_no_name_server_could_know_is_nobody():
    assert addresses("a" * 70 + ".example") == ()
