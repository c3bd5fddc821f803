import json

import netaddr
import pytest
from mmdb_writer import MMDBWriter

from sidecar.cli import address_facts
from sidecar.cli.address_facts import HostName
from sidecar.cli.text import local_time
from tests.cli.answering import AT, BAN

ANN = "203.0.113.7"
NETWORK_BAN = BAN | {
    "ip": "203.0.113.0/24", "cause": "group", "reason": "150 failures, the last of 203.0.113.9",
    "dropped": 1, "last_dropped": None, "evidence": ["fail 203.0.113.9"],
}  # fmt: skip
PAST = {
    "ip": ANN, "jail": "wordpress", "at": AT - 90, "until": AT, "cause": "failures", "failures": 3,
    "site": "blog", "reason": "", "times": 1, "observed": False, "ended": AT - 30, "ended_by": "manual",
}  # fmt: skip


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """Names by address; the addresses that were asked about."""
    names, asked = {}, []

    def host_name(address):
        asked.append(address)
        return names.get(address)

    monkeypatch.setattr(address_facts, "host_name", host_name)
    return names, asked


def standing(jail, **more):
    usual = {"never": None, "failures": 0, "maxretry": 3, "findtime": 600.0, "times": 0, "ban": None}
    return {"jail": jail, "filter": jail, "lines": [], **usual, **more}


def test_an_address_is_explained_for_each_jail(daemon, wp_lines):
    jails = [
        standing("login", failures=2, times=4, lines=["a line with \x1b[2J"]),
        standing("mail", never="ignoreip"),
        standing("access", failures=2, refused="never seen by this host's network"),
        standing("probes", times=3, ban=BAN),
        standing("shop", times=1, ban=BAN | {"observed": True, "cause": "manual", "reason": "a\x1bguess"}),
        standing("auth"),
        standing("manual"),
    ]
    daemon.answers["explain"] = {"ip": "203.0.113.7", "within": ["203.0.113.0/24"], "jails": jails}
    since, by_filter = local_time(AT), "3 failures by filter probes, the last in blog\\x1b[2J"

    assert wp_lines("explain", "203.0.113.7") == (
        0,
        [
            "203.0.113.7 lies in 203.0.113.0/24, which is banned; `wp-sidecar unban 203.0.113.0/24` lifts that",
            f"probes: banned since {since} for good, {by_filter}; banned 2 times before",
            "    fail 203.0.113.7",
            f"shop: would be banned (dry run) since {since} for good, a\\x1bguess",
            "    fail 203.0.113.7",
            "login: 2 of 3 failures within 10m; banned 4 times before",
            "    a line with \\x1b[2J",
            "mail: never banned, it is ignoreip",
            "access: 2 of 3 failures within 10m; due to be banned, but never seen by this host's network",
            "nothing that counts in auth, manual",
            "`wp-sidecar unban 203.0.113.7` lifts the ban, and `wp-sidecar allow 203.0.113.7` also prevents the next",
        ],
        "",
    )
    assert daemon.asked == [{"do": "explain", "who": "203.0.113.7"}]


def test_an_address_that_no_jail_bans_is_one_sentence(daemon, wp_lines):
    jails = [standing("login", never="a gateway"), standing("mail", never="a gateway")]
    daemon.answers["explain"] = {"ip": "192.0.2.1", "within": [], "jails": jails}

    assert wp_lines("explain", "192.0.2.1")[1] == ["192.0.2.1 is never banned: it is a gateway"]


def test_a_banned_network_around_is_told_with_its_ban_and_the_member_that_led_there(daemon, wp_lines):
    daemon.answers["explain"] = {
        "ip": ANN, "within": ["203.0.113.0/24"], "networks": [NETWORK_BAN], "jails": [standing("login")], "history": [],
    }  # fmt: skip

    why = f"in wordpress since {local_time(AT)} for good, 150 failures, the last of 203.0.113.9"
    lifts = "the kernel dropped 1 packet since; `wp-sidecar unban 203.0.113.0/24` lifts that"

    assert wp_lines("explain", ANN)[1] == [
        f"203.0.113.7 lies in 203.0.113.0/24, which is banned, {why}; {lifts}",
        "    fail 203.0.113.9",
        "nothing that counts in login",
    ]


def test_expressions_times_drops_and_past_bans_are_shown(daemon, wp_lines, monkeypatch):
    monkeypatch.setattr("sidecar.cli.plot.has_blocks", lambda: False)
    ban = BAN | {"site": "blog", "dropped": 1234, "last_dropped": AT + 60}
    expressions = [{"number": 2, "expression": "^fail <HOST>\x1b$", "lines": 1}]
    failed_at = [AT - 600, AT - 600, AT]
    jails = [standing("login", ban=ban, times=1, expressions=expressions, failed_at=failed_at)]
    daemon.answers["explain"] = {"ip": ANN, "within": [], "networks": [], "jails": jails, "history": [PAST]}
    counted = "3 failures, blog"
    banned = f"login: banned since {local_time(AT)} for good, 3 failures by filter login, the last in blog"

    assert wp_lines("explain", ANN)[1] == [
        f"{banned}; the kernel dropped 1,234 packets since, the last at {local_time(AT + 60)}",
        "    fail 203.0.113.7",
        "    (1 line by failregex 2 of login: ^fail <HOST>\\x1b$)",
        f"    failures per minute, {local_time(AT - 600)} to {local_time(AT)}:",
        "    2 #",
        "    0 #         #",
        "`wp-sidecar unban 203.0.113.7` lifts the ban, and `wp-sidecar allow 203.0.113.7` also prevents the next",
        "bans before (`wp-sidecar history 203.0.113.7` has all):",
        f"    {local_time(AT - 90)} to {local_time(AT - 30)} (unbanned by hand): 203.0.113.7 in wordpress, {counted}",
    ]


def answer_nothing(daemon, ip=ANN):
    daemon.answers["explain"] = {
        "ip": ip,
        "within": [],
        "networks": [],
        "jails": [standing("login")],
        "history": [],
    }


def test_the_name_is_shown_and_whether_it_is_confirmed(daemon, wp_lines, names):
    answer_nothing(daemon)
    names[0][ANN] = HostName("crawler.example.net", confirmed=True)
    assert wp_lines("explain", ANN)[1][0] == "name: crawler.example.net"

    names[0][ANN] = HostName("crawler.example.net", confirmed=False)
    claim = "name: crawler.example.net (unconfirmed: the name does not lead back to the address)"
    assert wp_lines("explain", ANN)[1][0] == claim


def test_dns_is_asked_for_hosts_in_text_and_otherwise_only_on_request(daemon, wp_lines, names):
    answer_nothing(daemon, "2001:db8::/64")
    wp_lines("explain", "2001:db8::7")
    wp_lines("explain", "--no-dns", "2001:db8::7")
    wp_lines("explain", "2001:db8::/64")
    wp_lines("explain", "--json", "2001:db8::7")
    assert names[1] == ["2001:db8::7"]

    names[0]["2001:db8::7"] = HostName("six.example.net", confirmed=True)
    (line,) = wp_lines("explain", "--json", "--dns", "2001:db8::7")[1]
    assert json.loads(line)["dns"] == {"name": "six.example.net", "confirmed": True}


def test_the_network_and_the_country_are_those_of_the_databases(daemon, wp_lines, monkeypatch, tmp_path):
    answer_nothing(daemon)
    writer = MMDBWriter(4, "Test")
    writer.insert_network(netaddr.IPSet(["203.0.113.0/24"]), {"asn": "AS64500", "country": "Netherlands"})
    writer.to_db_file(str(tmp_path / "a.mmdb"))
    monkeypatch.setenv("WP_SIDECAR_GEOIP", f"{tmp_path}/a.mmdb,{tmp_path}/absent.mmdb")

    code, out, err = wp_lines("explain", ANN)
    assert (code, out[0]) == (0, "network: AS64500, Netherlands")
    assert f"the database {tmp_path}/absent.mmdb cannot be used (No such file or directory): correct" in err
    (line,) = wp_lines("explain", "--json", ANN)[1]
    assert json.loads(line)["owner"] == "AS64500"

    monkeypatch.setenv("WP_SIDECAR_GEOIP", "a.mmdb")
    assert 'WP_SIDECAR_GEOIP: expected a path that starts with /, got "a.mmdb"' in wp_lines("explain", ANN)[2]
