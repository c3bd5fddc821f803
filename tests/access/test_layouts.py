"""Access logs as people have them: each layout, each in each wrapper, and a day's log of each."""

import re
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from sidecar.access.detect import AccessLog
from sidecar.access.logs import AccessLogs
from sidecar.config import reader
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Batch, Framing, Origin
from sidecar.core.guard import Guard
from sidecar.filters.matcher import Matcher
from tests.support import traffic
from tests.support.traffic import ATTACKERS, BEGIN, LAYOUTS, WRAPPERS, Visit

BENIGN = (
    Visit(BEGIN, "203.0.113.7", "GET", "/2026/11/hello-world/?ref=wp-login.php"),
    Visit(BEGIN, "2001:db8::7", status=302),
    Visit(BEGIN, "203.0.113.7", "GET", "/wp-admin/index.php?a=b", 200),
)
# What clients write so that the line is read as something else, or as somebody else's.
FORGED = 'x" 302 1 "-" "GET / HTTP/1.1" 302 "192.0.2.1 - - [01/Jan/2020:00:00:00 +0000] \\'
HOSTILE = (
    Visit(BEGIN, "203.0.113.7"),
    Visit(BEGIN, "2001:db8::7", target="/wp-login.php?action=rp", status=503),
    Visit(BEGIN, "203.0.113.7", target="//x/..//%77p-login.php/..;a?redirect_to=%22", status=403),
    Visit(BEGIN, "203.0.113.7", agent=FORGED),
    Visit(BEGIN, "203.0.113.7", target='/wp-login.php?a="302', referer=FORGED),
    Visit(BEGIN, "203.0.113.7", user="x [01/Jan/2020:00:00:00 +0000]"),
    Visit(BEGIN, "203.0.113.7", agent='","remote_addr":"192.0.2.1","status":"302","ClientHost":"192.0.2.1'),
    Visit(
        BEGIN, "203.0.113.7", agent="x\tremote_addr:192.0.2.1\tstatus:302 remote_addr=192.0.2.1 status=302"
    ),
    Visit(BEGIN, "203.0.113.7", host="192.0.2.1"),
    # Longer than any name: nginx takes it.
    Visit(BEGIN, "203.0.113.7", host="x" * 430),
)

# Where a source takes the beginning of the line off itself.
TRANSPORTS = {
    "syslog 3164": Framing.SYSLOG,
    "syslog 3164, no host": Framing.SYSLOG,
    "syslog 5424": Framing.SYSLOG,
    "docker logs -t": Framing.DOCKER,
    "kubelet": Framing.CRI,
}


def read(log, name, visit, wrapper="bare"):
    return log.requests(WRAPPERS[wrapper](traffic.line(name, visit), visit.at))


def known(name):
    """A log whose format was seen in some lines."""
    log = AccessLog()
    for number in range(25):
        read(log, name, Visit(BEGIN, f"198.51.100.{number + 1}", "GET", "/"))
    return log


@pytest.mark.parametrize("visit", BENIGN, ids=[visit.target for visit in BENIGN])
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_benign_line_is_read_as_it_is(name, visit):
    (request,) = read(known(name), name, visit)

    assert (request.client, request.method, request.path, request.status, round(request.time or 0, 3)) == (
        visit.client,
        visit.method,
        visit.target.partition("?")[0],
        visit.status,
        BEGIN,
    )


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_hostile_line_is_its_clients_failure_and_nobody_elses(name, wrapper):
    log = known(name)
    for visit in HOSTILE:
        requests = read(log, name, visit, wrapper)

        assert {request.client for request in requests} == {visit.client}, visit
        assert any(
            "/wp-login.php" in request.path and request.method == "POST" and request.status == visit.status
            for request in requests
        ), visit
        assert {round(request.time or 0, 3) for request in requests} == {BEGIN}, visit


@pytest.mark.parametrize("name", LAYOUTS)
def test_long_headers_do_not_excuse_a_guess_whose_line_is_cut(name):
    """Servers write `\\xFF` for a byte that they do not print; sources cut lines of 64 KiB."""
    log, long = known(name), "\xff" * 7_900
    for visit in (
        Visit(BEGIN, "203.0.113.7", target=f"/wp-login.php?{long}", referer=long, agent=long),
        Visit(BEGIN, "203.0.113.7", target=f"/wp-login.php?{long}", user=long[:6000]),
    ):
        line = traffic.line(name, visit)
        requests = log.requests(f"{line[:65_536]}…" if len(line) > 65_536 else line)

        assert {(each.client, each.path) for each in requests} == {(visit.client, "/wp-login.php")}


# What a client may send is made of these.
PARTS = (
    *'"\\ ,;|[]{}:=-/?#%&+<>@\t', "\x1b", "\u00e9", "x", "302", "200", "192.0.2.1", "2001:db8:7::7", "unknown", " - - ",
    "GET / HTTP/1.1", "POST", "HTTP/2.0", '" 302 ', "[01/Jan/2020:00:00:00 +0000]", "2020-01-01T00:00:00Z",
    '"remote_addr":"192.0.2.1"', '"status":302', "remote_addr=192.0.2.1", "status:302", ", 192.0.2.1 - ", "\\x22", "\\u0022",
)  # fmt: skip
TEXT = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)
NO_CONTROL = TEXT.map(lambda text: re.sub(r"[\x00-\x20]", "+", text))


@pytest.mark.parametrize("name", LAYOUTS)
def test_whatever_a_client_sends_counts_against_it_and_nobody_else(name):
    """The request's target holds no blank, and a user name no colon: servers refuse the one, and Basic auth has no other."""
    log = known(name)

    @settings_of_hypothesis(max_examples=40, deadline=None)
    @given(
        agent=TEXT,
        referer=TEXT,
        query=NO_CONTROL,
        user=TEXT.map(lambda text: re.sub(r"[:\t\x1b]", "", text)),
        host=TEXT.map(lambda text: re.sub(r'[\x00-\x20"\\/]', "", text)),
    )
    def hold(agent, referer, query, user, host):
        sent = Visit(
            BEGIN,
            "203.0.113.7",
            target=f"/wp-login.php?{query}",
            agent=agent,
            referer=referer,
            user=user or "-",
            host=host or "blog.example.com",
        )
        requests = read(log, name, sent)
        # Where a header stands first, a user name may look like its end. Then nobody is named.
        if not requests and name == "X-Forwarded-For first" and ", 192.0.2.1 - " in sent.user:
            return

        assert {request.client for request in requests} == {"203.0.113.7"}
        # A failure that looks old does not count.
        assert all(request.time is None or request.time > BEGIN - 1 for request in requests)
        # Varnish writes the host into the request's target.
        assert any(
            request.method == "POST" and "/wp-login.php" in request.path and request.status == 200
            for request in requests
        )

    hold()


@pytest.fixture(scope="module")
def settings():
    """Those of a new installation: the default jails."""
    return reader.read({}, look=False)


@pytest.fixture(scope="module")
def matcher(settings):
    return Matcher(settings.filters, UTC, access_logs=AccessLogs())


@pytest.fixture(scope="module")
def allowlist(settings):
    return Allowlist(settings.allowlist.networks_by_reason())


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_days_log_bans_its_four_attackers_and_nobody_else(name, settings, matcher, allowlist):
    visits = traffic.day()
    assert len(visits) == 700
    assert {visit.client for visit in visits} - set(traffic.ATTACKING) == set(traffic.READERS)

    lines = [(traffic.line(name, visit), visit.at) for visit in visits]
    for wrapper, framing in [*((each, Framing.NONE) for each in WRAPPERS), *TRANSPORTS.items()]:
        log = "".join(f"{WRAPPERS[wrapper](line, at)}\n" for line, at in lines)
        origin = Origin("files", f"{name}, {wrapper}, {framing}", jails=tuple(settings.filters))
        guard = Guard(settings.jails, allowlist)
        hits = matcher.scan(Batch(origin, log.encode(), framing), visits[-1].at).hits
        decisions = [each for hit in hits for each in guard.hits([hit], hit.at)]

        assert {(each.address, each.jail) for each in decisions} == ATTACKERS
