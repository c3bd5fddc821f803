"""Parts of the alerts that several tests use."""

from sidecar.alerts.channels import Channel
from sidecar.alerts.occurrences import Occurrence
from sidecar.core.actions import DEFAULT_EVENTS, Action, AlertEvent

EVERYTHING = Action("scripted", "scripted", events=DEFAULT_EVENTS)


def ban(number=7, site="blog", jail="wordpress", at=0.0, **more):
    address = f"203.0.{number // 250}.{number % 250}"
    fields = {"until": at + 60, "bantime": 60.0, "cause": "failures", "failures": 3} | more
    return Occurrence(AlertEvent.BAN, jail, address, at, site, **fields)


class Kept:
    """An AlertListener that keeps what is reported."""

    def __init__(self):
        self.results: list[str] = []
        self.dropped = 0

    def alert_sent(self, sender):
        self.results.append(f"{sender} sent")

    def alert_rejected(self, sender):
        self.results.append(f"{sender} rejected")

    def alert_delayed(self, sender):
        self.results.append(f"{sender} delayed")

    def alerts_dropped(self, sender, count):
        self.dropped += count


class Scripted:
    """A Sender that raises what it is given, in order, then accepts everything."""

    def __init__(self, *raised, name="scripted"):
        self.name, self.raised, self.got, self.tries = name, list(raised), [], 0

    def send(self, notice, within_s):
        self.tries += 1
        if self.raised and (err := self.raised.pop(0)):
            raise err
        self.got.append(notice)

    @property
    def texts(self):
        return [notice.text for notice in self.got]


def channel(sender, key="scripted", **more):
    return Channel(key, sender, **{"others": EVERYTHING} | more)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self, now=1_793_880_000.0):
        self.now = now

    def __call__(self):
        return self.now
