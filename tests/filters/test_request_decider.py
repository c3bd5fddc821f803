import random

import pytest

from sidecar.access.formats import known
from sidecar.access.logs import NOTHING_DECLARED, AccessLogs, Declared
from sidecar.access.reader import RequestReader
from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters import known_requests as module
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher

NOW = 1_796_100_000.0
# 30 November 2026, 06:33:20 UTC.
WHEN = 1_796_020_400.0
ANN, PROXY = "203.0.113.7", "192.0.2.1"
LINE = '{client} - - [{date}] "{request}" {status} 51 "-" "{agent}"'
# Text behind which a server that does not escape quotes seems to go on with another request.
FORGED = '" "{request}" {status} "'


def line(request="POST /wp-login.php HTTP/1.1", status=200, client=ANN, at="06:33:20", agent="curl"):
    return LINE.format(
        client=client, date=f"30/Nov/2026:{at} +0000", request=request, status=status, agent=agent
    )


def proof(**fields):
    return line("GET /wp-admin/profile.php HTTP/1.1", **fields)


class Blog:
    """A matcher of one jail, and the log that it reads."""

    def __init__(self, log_filter="wordpress-access[success=reset]", declared=NOTHING_DECLARED):
        logs = AccessLogs(declared)
        self.matcher, self.origin = (
            Matcher({"a": load(log_filter)}, access_logs=logs),
            Origin("docker", "blog", jails=("a",)),
        )
        self.log = logs.of(self.origin).log

    def hits(self, *lines, framing=Framing.NONE):
        data = "".join(f"{each}\n" for each in lines).encode()
        return self.matcher.scan(Batch(self.origin, data, framing), NOW).hits

    def brief(self, *lines):
        return [(hit.address, hit.at - WHEN, hit.success) for hit in self.hits(*lines)]


@pytest.fixture
def blog():
    return Blog()


def test_a_guess_is_a_hit_of_its_client_at_the_time_of_its_line(blog):
    (hit,) = blog.hits(line())

    assert (hit.jail, hit.address, hit.at, hit.success, hit.peer) == ("a", ANN, WHEN, False, "")
    assert hit.line == line()


def test_a_line_that_no_failregex_matches_is_none(blog):
    assert blog.hits(line("GET /wp-login.php HTTP/1.1"), "POST /wp-login.php", "PHP Warning: wp-login") == []


def test_a_line_that_is_a_guess_in_any_reading_is_one(blog):
    harmless = FORGED.format(request="GET / HTTP/1.1", status=200)
    guess = FORGED.format(request="POST /wp-login.php HTTP/1.1", status=200)

    assert blog.brief(line(agent=harmless)) == [(ANN, 0, False)]
    assert blog.brief(line("GET / HTTP/1.1", agent=guess)) == [(ANN, 0, False)]


@pytest.mark.parametrize("place", [0, 20, 60, 200])
def test_a_guess_among_more_readings_than_are_looked_at_counts(blog, place):
    readings = [("GET / HTTP/1.1", 302)] * 200
    readings.insert(place, ("POST /wp-login.php HTTP/1.1", 200))
    (request, status), *others = readings
    agent = "".join(FORGED.format(request=request, status=status) for request, status in others)

    assert blog.brief(line(request, status, agent=agent)) == [(ANN, 0, False)]


def test_a_line_with_more_readings_than_are_looked_at_is_a_failure_and_no_login_that_worked(blog):
    worked = FORGED.format(request="GET /wp-admin/profile.php HTTP/1.1", status=200)

    assert blog.brief(proof(agent=worked * 10)) == []
    assert blog.brief(proof(agent=worked * 200)) == [(ANN, 0, False)]


def test_a_login_that_worked_has_to_be_one_in_all_readings(blog):
    harmless = FORGED.format(request="GET / HTTP/1.1", status=200)
    another = FORGED.format(request="GET /wp-admin/users.php HTTP/1.1", status=200)
    forged = FORGED.format(request="GET /wp-admin/profile.php HTTP/1.1", status=200)

    assert blog.brief(proof()) == [(ANN, 0, True)]
    # Its target may as well reach up to the end of the second one.
    assert blog.brief(proof(agent=another)) == []
    assert blog.brief(proof(agent=harmless), line("GET /wp-login.php HTTP/1.1", agent=forged)) == []
    assert blog.brief(line(agent=forged)) == [(ANN, 0, False)]


def test_a_line_that_comes_again_has_its_own_time(blog):
    times = ("06:33:20", "06:33:21", "06:34:20")

    assert blog.brief(*[line(at=at) for at in times]) == [(ANN, after, False) for after in (0, 1, 60)]
    assert (blog.log.read, blog.log.understood) == (3, 3)


def test_lines_are_remembered_without_their_date_only(blog):
    others = [line(client="203.0.113.8"), line(status=302), line("POST /xmlrpc.php HTTP/1.1"), proof()]

    assert blog.brief(line(), *others, line()) == [
        (ANN, 0, False), ("203.0.113.8", 0, False), (ANN, 0, True), (ANN, 0, False),
    ]  # fmt: skip


def test_a_known_line_with_a_date_that_is_none_is_read_as_if_it_were_new(blog):
    """Such a line is of no date, so nothing may be remembered of the line that it looks like."""
    wrong = line().replace("30/Nov/2026:06:33:20 +0000", "a date")
    times = [hit.at for each in (wrong, line(), wrong, line()) for hit in blog.hits(each)]

    assert times == [NOW, 1_796_020_400.0, NOW, 1_796_020_400.0]


@pytest.mark.parametrize("framing", [Framing.NONE, Framing.DOCKER])
def test_what_stands_in_brackets_is_remembered_unless_it_is_a_date(framing):
    declared = Declared({}, {"blog": known("mine", '[$time_local] [$remote_addr] "$request" $status')})
    clients = [f"203.0.113.{i}" for i in range(3)]
    stamp = "2026-11-30T07:00:00.000000000Z " if framing is Framing.DOCKER else ""
    lines = [
        f'{stamp}[30/Nov/2026:06:33:20 +0000] [{client}] "POST /wp-login.php HTTP/1.1" 200'
        for client in clients
    ]

    assert [
        hit.address for hit in Blog("wordpress-access", declared).hits(*lines, framing=framing)
    ] == clients


def test_a_date_that_a_client_wrote_before_the_request_is_not_the_lines(blog):
    """The user name of HTTP authentication stands before the date, as the client sent it."""
    forged = line().replace("- -", "- [30/Nov/2026:05:00:00]")

    assert blog.brief(forged, forged) == [(ANN, 0, False)] * 2


def test_the_transports_time_goes_over_the_lines_own(blog):
    stamped = [f"2026-11-30T07:00:0{i}.000000000Z {line()}" for i in range(2)]

    assert [hit.at - WHEN for hit in blog.hits(*stamped, framing=Framing.DOCKER)] == [1600, 1601]


def test_a_line_without_a_date_is_now():
    blog = Blog("wordpress-access")
    traefik = '{"ClientHost":"203.0.113.7","RequestMethod":"POST","RequestPath":"/wp-login.php","DownstreamStatus":200}'

    assert [hit.at for hit in blog.hits(traefik, traefik)] == [NOW, NOW]


def test_the_peer_is_the_proxy_that_connected():
    declared = Declared(
        {}, {"blog": known("mine", '$remote_addr $realip_remote_addr [$time_local] "$request" $status')}
    )
    blog = Blog("wordpress-access", declared)
    request = '[30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200'

    assert [(hit.address, hit.peer) for hit in blog.hits(*[f"{ANN} {PROXY} {request}"] * 2, f"{ANN} {ANN} {request}")] == [
        (ANN, PROXY), (ANN, PROXY), (ANN, ""),
    ]  # fmt: skip


def test_a_log_whose_format_is_configured_anew_is_read_in_that(blog):
    logs = AccessLogs()
    matcher = Matcher({"a": load("wordpress-access")}, access_logs=logs)
    batch = Batch(blog.origin, f"{line()}\n".encode(), Framing.NONE)
    assert len(matcher.scan(batch, NOW).hits) == 1
    logs.reconfigure(Declared({"a": known("mine", '$status $remote_addr "$request"')}, {}))

    assert matcher.scan(batch, NOW).hits == []


def test_only_so_much_is_remembered_of_all_logs_and_no_line_is_lost(blog, monkeypatch):
    monkeypatch.setattr(module, "MAX_KNOWN_BYTES", 2_000)
    clients = [f"203.0.113.{i}" for i in range(9)]
    lines = [line(client=client) for client in clients]

    assert [hit.address for hit in blog.hits(*lines, *lines)] == clients * 2
    shop = Batch(Origin("docker", "shop", jails=("a",)), f"{lines[0]}\n".encode(), Framing.NONE)
    assert len(blog.matcher.scan(shop, NOW).hits) == 1


def test_a_line_that_is_not_understood_is_not_when_it_comes_again(blog):
    blog.hits(*['wp-login.php [30/Nov/2026:06:33:20 +0000] "x"'] * 3)

    assert (blog.log.read, blog.log.understood) == (3, 0)


def test_each_failing_line_counts_in_the_figures_of_its_filter(blog):
    blog.hits(*[line()] * 3, line("GET / HTTP/1.1"))

    assert blog.matcher.usage["wordpress-access"][1] == 3


REQUESTS = [
    "POST /wp-login.php HTTP/1.1",
    "POST //wp-login.php/..;x HTTP/1.1",
    "POST /x/../wp-login.php?action=postpass HTTP/1.1",
    "GET /wp-admin/profile.php HTTP/1.1",
    "GET /wp-json/wp/v2/users/me HTTP/1.1",
    "GET /192.0.2.1 POST /wp-login.php HTTP/1.1",
    "POST http://192.0.2.1/wp-login.php HTTP/1.1",
    "-",
    "",
]


@pytest.mark.parametrize(
    "log_filter", ["wordpress-access[success=reset]", "wordpress-xmlrpc", "wordpress-probes"]
)
def test_requests_that_differ_in_the_client_alone_come_to_what_each_comes_to(monkeypatch, log_filter):
    rnd = random.Random(1)
    clients = ["203.0.113.7", "198.51.100.9", "999.1.1.1", "192.0.2.1", "10.0.0.1", "1.2.3.04"]
    lines = [
        LINE.format(
            client=rnd.choice(clients),
            date=f"30/Nov/2026:06:{n // 60 % 60:02d}:{n % 60:02d} +0000",
            request=rnd.choice(REQUESTS),
            status=rnd.choice((200, 302, 401, 403, 404, 503)),
            agent=rnd.choice(("curl", "192.0.2.1 POST /wp-login.php 200", "")),
        ).replace("- - [", f"- {rnd.choice(('-', 'ann', '192.0.2.1'))} [")
        for n in range(5_000)
    ]
    fast = Blog(log_filter).hits(*lines)
    monkeypatch.setattr(RequestReader, "plain", lambda *_: None)

    assert fast == Blog(log_filter).hits(*lines)


def test_what_a_suspended_filter_comes_to_is_not_remembered(blog):
    blog.hits(*[line("GET / HTTP/1.1", client=f"198.51.100.{n}") for n in range(200)])
    (runner, *_) = blog.matcher._runners
    runner.budget.suspended = {(blog.origin.source, blog.origin.name): 9e9}
    assert blog.brief(line()) == []

    runner.budget.suspended = {}
    assert [address for address, *_ in blog.brief(line(), line(at="06:33:21"))] == [ANN, ANN]
    runner.budget.suspended = {(blog.origin.source, blog.origin.name): 9e9}
    assert blog.brief(line(client="198.51.100.1")) == []


def test_a_suspension_in_another_log_changes_nothing_of_what_is_remembered(blog, monkeypatch):
    blog.hits(*[line("GET / HTTP/1.1", client=f"198.51.100.{n}") for n in range(200)])
    (runner, *_) = blog.matcher._runners
    runner.budget.suspended = {("docker", "shop"): 9e9}
    assert [address for address, *_ in blog.brief(line())] == [ANN]

    monkeypatch.setattr(RequestReader, "readings", lambda *_: pytest.fail("it is remembered"))
    assert [address for address, *_ in blog.brief(line(at="06:33:21"))] == [ANN]


@pytest.mark.parametrize(
    "expression",
    ["^<ADDR>(?<=\\.7) POST /wp-login", "^<ADDR> (?<=\\.7 )POST /wp-login", "^(?=\\S+\\.7 )<ADDR> POST"],
)
def test_a_filter_that_looks_at_the_client_is_asked_about_each(tmp_path, expression):
    path = tmp_path / "mine.conf"
    path.write_text(f"[Definition]\ninput = requests\nfailregex = {expression}\n")
    mine = Blog(str(path))
    mine.hits(*[line("GET / HTTP/1.1", client=f"198.51.100.{n}") for n in range(200)])

    found = [hit.address for n in range(20) for hit in mine.hits(line(client=f"203.0.113.{n}"))]
    assert found == ["203.0.113.7"]
