"""The page of a daemon with a hostile container name, some bans and a day of failures, served on a port."""

import contextlib
import threading
from collections.abc import Iterator

from sidecar.advice.finding import Finding
from sidecar.config.settings import Settings
from sidecar.control.protocol import Refused
from sidecar.core.address import Address
from sidecar.core.events import Ban, Hit, Origin, Turn, Unban
from sidecar.runtime.http_server import HttpRequest, TcpListener
from sidecar.runtime.known_hosts import KnownHosts
from sidecar.telemetry.http import Health, TelemetryEndpoints, telemetry_server
from sidecar.web.activity import Activity
from sidecar.web.application import StatusPage
from sidecar.web.changes import ChangeForms
from sidecar.web.doctor import Checkup
from sidecar.web.sessions import Sessions
from tests.cli.answering import AT, BAN, STATUS

NOW = AT + 3_600
HOSTILE = '<img src=x onerror=document.title="taken">'


class Firewall:
    """Drops ten packets more at each look."""

    drops = 0

    def count_drops(self):
        self.drops += 10
        return self.drops


TOKEN = "a-token-of-this-test"


class Current:
    """Settings in force with a token; "": none."""

    def __init__(self, token=""):
        self.settings = Settings((), {}, web_token=token)


class Commands:
    """Answers `status` and `bans`, and remembers the bans and unbans that it was asked for."""

    def __init__(self, count=3, **status):
        stream = {
            **STATUS["streams"][0],
            "container": HOSTILE,
            "last": NOW - 60,
            "ports": [80, 443],
            "jails": [STATUS["jails"][0] | {"maxretry": 7}],
        }
        self.status = STATUS | {"streams": [stream]} | status
        self.asked = []
        # In which order bans were asked for.
        self.orders = []
        self.doctor = Looked()
        self.allowed = []
        self.bans = [
            BAN
            | {
                "ip": f"198.51.{n >> 8}.{n & 255}",
                "until": AT + 9_000 + n,
                "site": HOSTILE,
                "reason": "a, “b”",
                "dropped": 1_234,
                "last_dropped": AT,
            }
            for n in range(count)
        ]

    def answer(self, fields):
        if fields["do"] == "status":
            return self.status
        if fields["do"] == "bans":
            self.orders.append(fields.get("order"))
            search, first = fields.get("search", "").lower(), fields["first"]
            found = [
                ban
                for ban in self.bans
                if any(search in ban[key].lower() for key in ("ip", "jail", "site", "reason"))
            ]
            return {"bans": iter(found[:first]), "more": max(0, len(found) - first)}
        if fields["do"] == "allowed":
            return {"allowed": iter(self.allowed)}
        self.asked.append(dict(fields))
        if fields["who"] == "10.0.0.1":
            raise Refused("10.0.0.1 is never banned: it is a private address")
        if fields["do"] == "allow":
            self.allowed.append({"ip": fields["who"], "at": AT, "until": None, "comment": fields["comment"]})
            return {
                "allowed": self.allowed[-1:],
                "unbanned": [{"ip": fields["who"], "jail": "wordpress"}],
                "alone": False,
            }
        if fields["do"] == "disallow":
            self.allowed.clear()
            return {"disallowed": [fields["who"]]}
        made = [{"ip": fields["who"], "jail": fields["jail"] or "manual"}]
        if fields["do"] == "unban":
            self.bans = [ban for ban in self.bans if ban["ip"] != fields["who"]]
        return {"banned" if fields["do"] == "ban" else "unbanned": made}


def activity():
    """A day with failures, a ban and an unban."""
    made = Activity(Firewall(), NOW - 86_400)
    origin = Origin("docker", "blog")
    for hours in (20, 10, 1):
        at = NOW - hours * 3_600
        ban = Ban("wordpress", Address("203.0.113.7"), at, at + 60, "failures", reason=HOSTILE)
        hits = tuple(Hit("wordpress", Address("203.0.113.7"), at, origin, "line") for _ in range(hours))
        made.apply(Turn(at, (ban,), hits))
        made.run(None, at)
    made.apply(Turn(NOW, (Unban("wordpress", Address("203.0.113.7"), NOW, "expired"),)))
    return made


class Looked:
    """A doctor that found two things wrong."""

    def __init__(self, subject=HOSTILE):
        self.times = 0
        self.checkup = Checkup(
            (
                Finding("host", ok=True, sentence="the daemon answers"),
                Finding("host", ok=False, sentence="the clock is years behind", change="Set it"),
                Finding(subject, ok=False, sentence=f"its log {subject}", change=f"Give {subject} a driver"),
                Finding(subject, ok=True, sentence="bans close the ports that lead to it: 80"),
            ),
            NOW,
        )

    def latest(self):
        return self.checkup

    def again(self):
        self.times += 1
        return self.checkup._replace(is_running=self.times == 1)


def page_of(commands, token=""):
    doctor = commands.doctor
    return StatusPage(commands, activity(), ChangeForms(commands, Sessions(Current(token)), doctor), doctor)


def get(commands=None, path="/", query=""):
    page = page_of(commands or Commands())
    response = page.respond(HttpRequest("GET", path, {}, query=query))
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    return response, body.decode()


class Check:
    def health(self):
        return Health(live=True, ready=True)


@contextlib.contextmanager
def served(commands, token="") -> Iterator[str]:
    """Serve the page; yields its address."""
    from prometheus_client import CollectorRegistry

    listener = TcpListener("127.0.0.1", 0)
    endpoints = TelemetryEndpoints(CollectorRegistry(), Check(), KnownHosts(()), page_of(commands, token))
    server = telemetry_server(listener, endpoints)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.address[1]}"
    finally:
        server.close()
        thread.join()
