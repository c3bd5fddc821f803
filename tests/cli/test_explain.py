from sidecar.cli.text import local_time
from tests.cli.answering import AT, BAN


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
    ]
    daemon.answers["explain"] = {"ip": "203.0.113.7", "within": ["203.0.113.0/24"], "jails": jails}
    since, by_filter = local_time(AT), "3 failures by filter probes, the last in blog\\x1b[2J"

    assert wp_lines("explain", "203.0.113.7") == (
        0,
        [
            "203.0.113.7 lies in 203.0.113.0/24, which is banned; `wp-sidecar unban 203.0.113.0/24` lifts that",
            "login: 2 of 3 failures within 10m; banned 4 times before",
            "    a line with \\x1b[2J",
            "mail: never banned, it is ignoreip",
            "access: 2 of 3 failures within 10m; due to be banned, but never seen by this host's network",
            f"probes: banned since {since} for good, {by_filter}; banned 2 times before",
            "    fail 203.0.113.7",
            f"shop: would be banned (dry run) since {since} for good, a\\x1bguess",
            "    fail 203.0.113.7",
            "`wp-sidecar unban 203.0.113.7` lifts the ban; an address in `ignoreip` is never banned",
        ],
        "",
    )
    assert daemon.asked == [{"do": "explain", "who": "203.0.113.7"}]


def test_an_address_that_no_jail_bans_is_one_sentence(daemon, wp_lines):
    jails = [standing("login", never="a gateway"), standing("mail", never="a gateway")]
    daemon.answers["explain"] = {"ip": "192.0.2.1", "within": [], "jails": jails}

    assert wp_lines("explain", "192.0.2.1")[1] == ["192.0.2.1 is never banned: it is a gateway"]
