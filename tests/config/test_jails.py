from __future__ import annotations

import math
from datetime import timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sidecar.config.action_names import NOT_CARRIED
from sidecar.config.errors import ConfigErrors
from sidecar.config.jail_keys import JETPACK, default_jail
from sidecar.config.jails import JailsFile, read
from sidecar.core import bantime_formula
from sidecar.core.bantime_increment import Escalation
from sidecar.core.jail import Jail, Success

FAIL = "[Definition]\nfailregex = ^fail <HOST>$\n"


@pytest.fixture
def filters(tmp_path):
    """A folder of small filters."""
    folder = tmp_path / "filters"
    folder.mkdir()
    for name in ("wordpress", "wordpress-access", "sshd", "mail"):
        (folder / f"{name}.conf").write_text(FAIL)
    (folder / "broken.conf").write_text(
        "[Definition]\nfailregex = ^(fail <HOST>$\n            ^no address$\n"
    )
    return folder


@pytest.fixture
def of(tmp_path, filters):
    """Reads a jails file of this text."""

    def of(text: str, *, look: bool = False) -> JailsFile:
        (tmp_path / "jails.conf").write_text(text)
        return read(tmp_path / "jails.conf", [filters], look=look)

    return of


@pytest.fixture
def wrong(of, tmp_path):
    """The errors in a jails file of this text, without the path."""

    def wrong(text: str, *, look: bool = False) -> list[str]:
        with pytest.raises(ConfigErrors) as caught:
            of(text, look=look)
        return [str(error).replace(f"{tmp_path}/", "") for error in caught.value.errors]

    return wrong


def test_a_stanza_of_fail2ban_works_unedited(of):
    found = of(
        """
[wordpress]
enabled = true
filter = wordpress
logpath = /var/log/auth.log
port = http,https
maxretry = 3
findtime = 10800
bantime = 86400
"""
    )

    assert found.jails == (
        Jail(
            "wordpress",
            "wordpress",
            3,
            10_800.0,
            86_400.0,
            frozenset({80, 443}),
            ("/var/log/auth.log",),
            success=Success.PROOF,
        ),
    )
    assert {name: rules.name for name, rules in found.filters.items()} == {"wordpress": "wordpress"}
    assert (found.values, found.notes) == ({}, ())


def test_without_a_file_the_builtin_jails_run(filters):
    found = read(None, [filters])

    assert found.jails == (
        Jail("wordpress", "wordpress", maxretry=3, findtime=10_800, bantime=86_400, success=Success.PROOF),
        Jail(
            "wordpress-access",
            "wordpress-access",
            maxretry=5,
            findtime=10_800,
            bantime=3_600,
            success=Success.RESET,
            escalation=Escalation(multipliers=(1.0, 4.0, 24.0, 168.0), maxtime=604_800.0),
        ),
        Jail(
            "wordpress-auth",
            "wordpress-auth",
            maxretry=3,
            findtime=10_800,
            bantime=86_400,
            success=Success.PROOF,
        ),
        Jail(
            "wordpress-xmlrpc",
            "wordpress-xmlrpc",
            maxretry=30,
            findtime=600,
            bantime=3_600,
            ignoreip=(JETPACK,),
            reads_requests=True,
        ),
    )
    assert sorted(found.filters) == ["wordpress", "wordpress-access", "wordpress-auth", "wordpress-xmlrpc"]
    assert found.notes == ()


def test_a_file_without_sections_configures_the_builtin_jails(of):
    found = of("[DEFAULT]\nmaxretry = 9\nban_private = true\nignoreip = 203.0.113.0/24")

    assert [(jail.name, jail.maxretry, jail.ignoreip) for jail in found.jails] == [
        ("wordpress", 9, ("203.0.113.0/24",)),
        ("wordpress-access", 9, ("203.0.113.0/24",)),
        ("wordpress-auth", 9, ("203.0.113.0/24",)),
        ("wordpress-xmlrpc", 30, ("203.0.113.0/24", JETPACK)),
    ]
    assert found.values == {"allowlist.ban_private": True}


def test_the_limits_of_the_jail_for_xml_rpc_are_those_of_its_own_section(of):
    """Each call counts there, so the limits of [DEFAULT] would ban the WordPress apps."""
    default = "[DEFAULT]\nmaxretry = 3\nfindtime = 1d\nbantime = -1\nignoreip = ::1\n[wordpress-xmlrpc]\n"
    (kept,) = of(default).jails
    (changed,) = of(f"{default}maxretry = 60\nbantime = 2h\nignoreip = ::2").jails

    assert (kept.maxretry, kept.findtime, kept.bantime, kept.ignoreip) == (30, 600, 3_600, ("::1", JETPACK))
    assert (changed.maxretry, changed.findtime, changed.bantime, changed.ignoreip) == (
        60,
        600,
        7_200,
        ("::2",),
    )


@pytest.mark.parametrize(
    ("text", "bantime", "escalation"),
    [
        ("", 3_600.0, default_jail("wordpress-access").escalation),
        ("maxretry = 3", 3_600.0, default_jail("wordpress-access").escalation),
        ("bantime = 1d", 86_400.0, None),
        ("bantime.increment = false", 3_600.0, None),
        ("bantime.increment = true", 3_600.0, Escalation()),
    ],
)
def test_growing_bans_are_built_in_until_the_file_says_how_long_bans_are(of, text, bantime, escalation):
    for section in (f"[DEFAULT]\n{text}\n[wordpress-access]", f"[wordpress-access]\n{text}"):
        (jail,) = of(section).jails

        assert (jail.bantime, jail.escalation) == (bantime, escalation)


def test_a_builtin_jail_with_a_filter_that_recognises_no_logins_is_no_reason_for_a_note(of):
    (jail,) = (found := of("[wordpress-access]\nfilter = wordpress-xmlrpc")).jails

    assert (jail.success, found.notes) == ("reset", ())


@pytest.mark.parametrize(("success", "reports"), [("", True), ("success = ignore", False)])
def test_a_login_that_worked_counts_for_the_access_log_unless_the_jail_ignores_it(tmp_path, success, reports):
    path = tmp_path / "jails.conf"
    path.write_text(f"[wordpress-access]\n{success}\n")
    found = read(path, [])

    assert (found.filters["wordpress-access"].reports_success, found.notes) == (reports, ())


def test_allowlist_and_budget(of):
    found = of(
        """[DEFAULT]
ignoreip = 203.0.113.7 office.example.org
trusted_proxies = 192.0.2.16/28
allow_cdn = fastly, cloudflare
banbudget = 500/10m
banshare = 50%%
[mail]
trusted_proxies = 192.0.2.32
[wordpress]
ignoreip = home.example.org
"""
    )

    assert [(jail.ignoreip, jail.ignore_names) for jail in found.jails] == [
        (("203.0.113.7",), ("office.example.org",)),
        ((), ("home.example.org",)),
    ]
    assert found.values == {
        "allowlist.trusted_proxies": ("192.0.2.16/28", "192.0.2.32"),
        "allowlist.cdns": ("fastly", "cloudflare"),
        "budget.rate": (500, 600),
        "budget.share": 0.5,
    }


def test_a_key_that_a_jail_does_not_set_has_the_value_of_default_or_its_own_default(of):
    found = of(
        """
[DEFAULT]
findtime = 1h
bantime = -1
[mail]
port = all
maxretry = 2
[wordpress]
containers = wp-*, com.docker.compose.service=blog
bantime = 1d12h
"""
    )

    assert found.jails == (
        Jail("mail", "mail", 2, 3_600, math.inf, None),
        Jail(
            "wordpress",
            "wordpress",
            3,
            3_600,
            129_600,
            containers=("wp-*", "com.docker.compose.service=blog"),
            success=Success.PROOF,
        ),
    )


def test_a_jail_that_is_not_enabled_is_not_read(of):
    found = of("[DEFAULT]\nenabled = false\n[mail]\nfilter = none-such\nfive = 5\n[sshd]\nenabled = yes\n")

    assert [jail.name for jail in found.jails] == ["sshd"]


def test_fail2bans_dialect(of, tmp_path):
    (tmp_path / "paths.conf").write_text("[DEFAULT]\nlogs = /srv/logs\n")
    found = of(
        """
[INCLUDES]
before = paths.conf
[DEFAULT]
mode = normal
filter = %(__name__)s[mode=%(mode)s]
log_here = %(logs)s/here
; a comment
[mail]
logpath = %(log_here)s/a.log   ; another
          %(logs)s/b.log tail
bantime : 10m
# and one more
"""
    )

    assert found.jails == (
        Jail("mail", "mail[mode=normal]", bantime=600, logpath=("/srv/logs/here/a.log", "/srv/logs/b.log")),
    )


def test_local_files_go_over_the_file(of, tmp_path):
    (tmp_path / "jails.d").mkdir()
    (tmp_path / "jails.d" / "10.conf").write_text("[mail]\nmaxretry = 7\nfindtime = 7\n")
    (tmp_path / "jails.local").write_text("[mail]\nfindtime = 8\nbantime = 8\n")
    (tmp_path / "jails.d" / "99.local").write_text("[mail]\nbantime = 9\n")

    assert of("[mail]\nmaxretry = 1\nfindtime = 1\nbantime = 1\n").jails == (Jail("mail", "mail", 7, 8, 9),)


def test_jails_with_the_same_filter_share_it(of):
    found = of("[one]\nfilter = mail\n[two]\nfilter = mail\n[three]\nfilter = mail[mode=x]")

    assert found.filters["one"] is found.filters["two"]
    assert found.filters["one"] is not found.filters["three"]


def test_a_jail_may_bring_its_own_failregex(of):
    found = of("[mail]\nfailregex = ^bad <HOST>$\n            ^worse <HOST>$\n")

    assert [rule.text for rule in found.filters["mail"].failregex] == ["^bad <HOST>$", "^worse <HOST>$"]


def test_a_jail_may_add_to_its_filters_failregex(of):
    text = "[mail]\nfailregex = %(known/failregex)s\n            ^worse <HOST>$\nmode = observe\n"
    more = "ignoreregex = %(known/ignoreregex)s\n              ^fine\n"
    both = [text, text + more]

    assert [
        ([rule.text for rule in rules.failregex], [rule.text for rule in rules.ignoreregex])
        for rules in (of(one).filters["mail"] for one in both)
    ] == [(["^fail <HOST>$", "^worse <HOST>$"], []), (["^fail <HOST>$", "^worse <HOST>$"], ["^fine"])]


def test_a_remark_after_a_value_is_not_part_of_it(of):
    found = of(
        """[DEFAULT]
bantime = 86400   # a day
ignoreip = 203.0.113.0/24\t# the office
           198.51.100.7  # and Ann
[mail]
enabled = true # on
filter = mail # ours
maxretry = 4 #
logpath = /srv/a#1.log  # both
          /srv/b.log
failregex = ^bad <HOST> # 7$
"""
    )

    assert found.jails == (
        Jail(
            "mail",
            "mail",
            4,
            bantime=86_400,
            logpath=("/srv/a#1.log", "/srv/b.log"),
            ignoreip=("203.0.113.0/24", "198.51.100.7"),
        ),
    )
    assert [rule.text for rule in found.filters["mail"].failregex] == ["^bad <HOST> # 7$"]


def test_a_name_that_an_included_file_defines_need_not_be_used(of, tmp_path):
    (tmp_path / "paths.conf").write_text("[DEFAULT]\nmail_log = /srv/mail.log\nftp_log = /srv/ftp.log\n")
    found = of("[INCLUDES]\nbefore = paths.conf\n[mail]\nlogpath = %(mail_log)s\n")

    assert found.jails == (Jail("mail", "mail", logpath=("/srv/mail.log",)),)


def test_every_error_is_reported_with_its_place(wrong):
    text = """[DEFAULT]
findtime = soon
[mail]
maxretry = five
bantme = 10m
port = httpp
ignoreip = 203.0.113.7, example,org
[sshd]
filter = none-such
ban_private = true
[bro/ken]
filter = broken
"""

    assert [error.partition(" (")[0][:61] for error in wrong(text)] == [
        "jails.conf:5: mail.bantme: unknown. Did you mean bantime?",
        'jails.conf:7: mail.ignoreip: "example" is not an address, a n',
        "jails.conf:4: mail.maxretry: expected a whole number from 1 u",
        "jails.conf:2: DEFAULT.findtime: expected a duration such as 6",
        'jails.conf:6: mail.port: "httpp" is not a port: write its num',
        "jails.conf:10: sshd.ban_private: applies to all jails; move i",
        "jails.conf:9: sshd.filter: there is no filter `none-such` in ",
        "jails.conf:12: bro/ken: is not allowed as a jail's name; use ",
        "filters/broken.conf:2: `failregex` is not a valid regular exp",
        "filters/broken.conf:3: this names no address to ban: put <HOS",
    ]


def test_a_jail_with_an_error_is_left_out_and_the_others_stay(of):
    found = of("[mail]\n[sshd]\nfilter = broken\n[web]\nfilter = mail\nmaxretry = five\n")

    assert [jail.name for jail in found.jails] == ["mail"] == list(found.filters)
    assert [(error.line, error.section) for error in found.errors] == [(2, ""), (3, ""), (6, "web")]


def test_an_error_that_concerns_all_jails_stops_all(wrong):
    (error,) = wrong("[DEFAULT]\nbantime = soon\n[mail]\n")

    assert error.startswith("jails.conf:2: DEFAULT.bantime: expected a duration")


def test_an_unknown_key_in_default_is_a_note(of):
    found = of(
        """[DEFAULT]
blocklist_de_apikey = 1234
cfemail = ann@example.org
nginx_access_log = /var/log/access.log
wordpress_log = /var/log/wp.log
findtime.multipliers = 1 2 4 8
bantme = 1h
action = %(action_)s
         %(action_blocklist_de)s
[mail]
logpath = %(wordpress_log)s
"""
    )

    assert found.jails == (Jail("mail", "mail", logpath=("/var/log/wp.log",)),)
    assert [note.partition("jails.conf: ")[2] for note in found.notes] == [
        "DEFAULT.blocklist_de_apikey: is ignored: unknown",
        "DEFAULT.cfemail: is ignored: unknown",
        "DEFAULT.nginx_access_log: is ignored: unknown",
        "DEFAULT.findtime.multipliers: is ignored: unknown. Did you mean bantime.multipliers?",
        "DEFAULT.bantme: is ignored: unknown. Did you mean bantime?",
        f"DEFAULT.action: blocklist_de is not carried over: {NOT_CARRIED['blocklist_de']}",
    ]


def test_values_that_fail2ban_accepts_are_noted(of):
    found = of("[DEFAULT]\nbantime = 60*60*24\n[mail]\nmaxretry = 0\n")

    assert found.jails == (Jail("mail", "mail", maxretry=1, bantime=86_400),)
    assert [note.partition("jails.conf: ")[2] for note in found.notes] == [
        "mail.maxretry: 0 means 1, as in fail2ban: the first failure is a ban",
        "DEFAULT.bantime: 60*60*24 is 1d",
    ]


def test_logtimezone_of_default_and_of_a_jail(of):
    found = of(
        "[DEFAULT]\nlogtimezone = UTC-0500\n[mail]\n[sshd]\nfilter = mail\nlogtimezone = Europe/Berlin\n"
    )

    zones = {"mail": timezone(timedelta(hours=-5)), "sshd": ZoneInfo("Europe/Berlin")}
    assert {jail.name: jail.log_zone for jail in found.jails} == zones
    assert {name: rules.zone for name, rules in found.filters.items()} == zones


def test_a_jails_name_may_contain_blanks(of):
    found = of("[my mail]\nfilter = mail\n")

    assert found.jails == (Jail("my mail", "mail"),)


def test_a_jail_local_is_read_between_the_files_of_its_folder_as_fail2ban_does(tmp_path, filters):
    (tmp_path / "jail.d").mkdir()
    (tmp_path / "jail.d" / "mail.conf").write_text("[mail]\nmaxretry = 10\nbantime = 77\n")
    (tmp_path / "jail.d" / "mail.local").write_text("[mail]\nfindtime = 9\n")
    (tmp_path / "jail.local").write_text("[mail]\nmaxretry = 3\nfindtime = 8\n")

    found = read(tmp_path / "jail.local", [filters], look=False)

    assert found.jails == (Jail("mail", "mail", maxretry=3, findtime=9, bantime=77),)
    assert found.notes == ()


def test_the_jail_conf_beside_a_jail_local_is_not_read_and_a_note_says_so(tmp_path, filters):
    (tmp_path / "jail.conf").write_text("[mail]\nmaxretry = 9\n")
    (tmp_path / "jail.local").write_text("[mail]\nbantime = 7\n")

    found = read(tmp_path / "jail.local", [filters], look=False)

    assert found.jails == (Jail("mail", "mail", bantime=7),)
    assert found.notes == (
        f"{tmp_path}/jail.local: {tmp_path}/jail.conf is not read; name that file, and jail.local is read over it",
    )


def test_recidive_without_the_log_of_fail2ban_is_left_out_with_a_note(of, wrong):
    found = of("[recidive]\nlogpath = /no/such/fail2ban.log\nbantime = 1w\n[mail]\n")

    assert [jail.name for jail in found.jails] == ["mail"]
    (note,) = found.notes
    assert "[recidive]: is left out" in note
    assert "bantime.increment = true" in note
    nothing, why = wrong("[recidive]\n")
    assert nothing == "jails.conf: no jail is enabled; enable one, or remove the file to get the defaults"
    assert "recidive" in why and "is left out" in why and "bantime.increment = true" in why


def test_recidive_reads_the_log_of_a_fail2ban_beside_it(of, tmp_path, filters):
    (tmp_path / "fail2ban.log").write_text("")
    (filters / "recidive.conf").write_text(FAIL)

    found = of(f"[recidive]\nlogpath = {tmp_path}/fail2ban.log\n")

    assert (found.jails[0].name, found.notes) == ("recidive", ())


def test_an_expression_that_may_take_for_ever_is_noted(of, filters):
    (filters / "slow.conf").write_text("[Definition]\nfailregex = ^(?:a+)+ <HOST>$\n")

    (note,) = of("[slow]").notes
    assert note.startswith(
        f"{filters}/slow.conf:2: may take for ever on some lines, so those are tried in a separate"
    )
    assert note.endswith(": ^(?:a+)+ <HOST>$")


def test_a_missing_filter_is_an_error_of_the_jail(wrong):
    (error,) = wrong("[blog]\nfilter = wordpres\n")

    assert error.startswith("jails.conf:2: blog.filter: there is no filter `wordpres` in ")
    assert error.endswith("did you mean `wordpress`?")


def test_an_error_of_a_filter_has_the_place_in_its_own_file(wrong):
    first, second = wrong("[mail]\nfilter = broken\n")

    assert first.startswith("filters/broken.conf:2: `failregex` is not a valid regular expression")
    assert second.startswith("filters/broken.conf:3: this names no address to ban")
    assert first.endswith(", for jail mail") and second.endswith(", for jail mail")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[mail]\nenabled = maybe\n", 'jails.conf:2: mail.enabled: expected true or false, got "maybe"'),
        ("[mail]\nbantime = 0\n", "expected a duration such as 600, 10m, 1d12h or -1 (for good)"),
        ("[mail]\nbantime = __import__('os').system('true')\n", "expected a duration"),
        (
            "[mail]\nfindtime = -1\n",
            "jails.conf:2: mail.findtime: expected a duration such as 600, 10m, 1d12h, got",
        ),
        ("[mail]\nmaxretry = -1\n", "jails.conf:2: mail.maxretry: expected a whole number from 1 up"),
        (
            "[mail]\nlogtimezone = Mars\n",
            "jails.conf:2: mail.logtimezone: expected a time zone such as UTC, UTC+0200",
        ),
        ("[mail]\nfilter =\n", "jails.conf:2: mail.filter: expected one filter"),
        ("[mail]\nlogpath = %(no_such)s\n", "jails.conf:2: mail.logpath: `%(no_such)s` is defined nowhere"),
        ("[mail]\nlogpath = %(no_such)s\n", "or leave logpath out to look at containers"),
        ("[mail]\nport = 100%\n", "jails.conf:2: mail.port: a lone `%` means nothing here"),
        ("maxretry = 1\n", "jails.conf:1: this stands before the first [section]"),
        ("[mail]\nenabled = false\n", "jails.conf: no jail is enabled; enable one, or remove the file"),
        ("[manual]\n", "jails.conf: manual: is not allowed as a jail's name"),
        ("[default]\nbantime = 1h\n", "jails.conf:2: default: the settings of all jails stand in [DEFAULT]"),
        ("[mail]\nmaxretry = 10001\n", "jails.conf:2: mail.maxretry: 10001 is too many; the most is 10000"),
        ("[mail]\nlogpath = logs/a\n", "jails.conf:2: mail.logpath: expected a path that starts with /, got"),
        ("[mail]\nlogpath = /a /b\n", "jails.conf:2: mail.logpath: expected one path a line, got /a /b"),
        ("[mail]\nlogpath = /a,/b\n", "jails.conf:2: mail.logpath: expected one path a line, got /a,/b"),
        ("[mail]\nport = 80\nusedns = maybe\n", "jails.conf:3: mail.usedns: `usedns` is one of no, warn"),
        ("[mail]\nport = 80\nfailregex = ^x\n", "jails.conf:3: mail.failregex: this names no address to ban"),
        ("[mail]\nport = 80\nmaxlines = 0\n", "jails.conf:3: mail.maxlines: `maxlines` is how many lines"),
        (
            "[Definition]\nfailregex = ^x <HOST>$\n",
            "jails.conf:2: Definition: is not allowed as a jail's name",
        ),
        ("[INCLUDES]\nbefore = gone.conf\n[mail]\n", "jails.conf:2: the included file does not exist"),
    ],
)
def test_one_error(wrong, text, error):
    assert error in wrong(text)[0]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "[mail]\nmaxretry = 1\nfindtime = 60\n[blog]\nfilter = wordpress\n[mail]\nmaxretry = 2\n",
            "6: mail: this section is there twice",
        ),
        (
            "[mail]\nmaxretry = 1\nfindtime = 60\nmaxretry = 2\n[blog]\nfilter = wordpress\n",
            "4: mail: `maxretry` is set twice",
        ),
        (
            "[DEFAULT]\nmaxretry = 1\nfindtime = 60\nmaxretry = 2\n[mail]\n[blog]\nfilter = wordpress\n",
            "4: DEFAULT: `maxretry`",
        ),
    ],
)
def test_what_stands_there_twice_is_reported_and_stops_no_jail(of, text, error):
    """fail2ban refuses such a file, and nothing is protected then."""
    found = of(text)

    assert [jail.name for jail in found.jails] == ["mail", "blog"]
    mail = found.jails[0]
    assert (mail.maxretry, mail.findtime) == (2, 60)
    reported = str(found.errors[0])
    assert error in reported and reported.endswith("; the last one counts")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    for path, sentence in [
        (tmp_path / "none", "cannot be read: No such file"),
        (tmp_path, "is a directory; Docker"),
    ]:
        with pytest.raises(ConfigErrors, match=sentence):
            read(path, [])


def test_a_key_that_only_fail2ban_uses_is_a_note(of, tmp_path):
    found = of(
        """[DEFAULT]
banaction = nftables
action_mw = %(banaction)s
loglevel = INFO
[mail]
backend = systemd
action = %(action_mw)s
[sshd]
"""
    )

    assert [note.replace(f"{tmp_path}/", "") for note in found.notes] == [
        "jails.conf: [DEFAULT]: has no meaning here and is ignored: loglevel",
        "jails.conf: [mail]: has no meaning here and is ignored: backend",
        "jails.conf: DEFAULT.action: nftables is not run: wp-sidecar's own nftables table drops what is banned",
    ]


def test_bantime_increment_and_its_family(of):
    found = of(
        """[DEFAULT]
bantime.increment = true
bantime.maxtime = 4w
bantime.rndtime =
[wordpress]
[mail]
bantime.factor = 1.5
bantime.rndtime = 0
bantime.overalljails = true
bantime.formula = ban.Time * (1<<ban.Count)
[sshd]
bantime.multipliers = 1 5 30 60
bantime.formula = ban.Time
bantime.rndtime = 8m
[wordpress-access]
bantime.increment = false
"""
    )

    month = 28 * 86_400.0
    assert {jail.name: jail.escalation for jail in found.jails} == {
        "wordpress": Escalation(maxtime=month),
        "mail": Escalation(
            1.5, formula=bantime_formula.parse("ban.Time * (1<<ban.Count)"), maxtime=month, overalljails=True
        ),
        "sshd": Escalation(
            multipliers=(1, 5, 30, 60), formula=bantime_formula.parse("ban.Time"), maxtime=month, rndtime=480
        ),
        "wordpress-access": None,
    }
    assert [note.partition("sshd.")[2] for note in found.notes] == [
        "bantime.formula: is not used: bantime.multipliers take precedence, as in fail2ban"
    ]


def test_mode_window_group_and_success(of):
    found = of(
        """[DEFAULT]
dbpurgeage = 7d
[mail]
mode = observe
window = fail2ban
bangroup = 8
success = reset
[sshd]
mode = aggressive
window = sliding
success = ignore
[wordpress]
mode = Enforce
""",
    )

    assert [(jail.observe, jail.window, jail.bangroup, jail.success) for jail in found.jails] == [
        (True, "fail2ban", 8, "reset"), (False, "sliding", 0, "ignore"), (False, "sliding", 0, "proof"),
    ]  # fmt: skip
    assert found.values == {"dbpurgeage": 7 * 86_400}


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("bantime.factor = -1", 'mail.bantime.factor: expected a number such as 2 or 1.5, got "-1"'),
        (
            "bantime.multipliers = 1 two",
            'mail.bantime.multipliers: expected a number such as 2 or 1.5, got "two"',
        ),
        ("bantime.formula = exit()", "mail.bantime.formula: exit() is not known in a formula"),
        ("window = tumbling", "mail.window: expected sliding or fail2ban, got"),
        ("mode = observed", 'mail.mode: "observed": unknown. Did you mean observe?'),
        (
            "success = yes",
            "mail.success: expected reset (a login clears the failures before it), proof (only one that",
        ),
        ("bangroup = -1", "mail.bangroup: expected a whole number from 0 up"),
        ("datepattern = ^(?:a+)+ %%Y", "mail.datepattern: may take for ever on some lines: ^(?:a+)+ %Y; say"),
    ],
)
def test_one_error_in_a_rule(wrong, written, error):
    assert error in wrong(f"[mail]\n{written}\n")[0]


def test_a_jail_without_its_log_file_looks_at_the_discovered_containers(of, tmp_path):
    found = of(f"[mail]\nlogpath = {tmp_path}/none.log\n", look=True)

    assert [(jail.logpath, jail.absent) for jail in found.jails] == [((f"{tmp_path}/none.log",), True)]
    (note,) = found.notes
    assert f"mail.logpath: {tmp_path}/none.log does not exist yet; it is followed once it does" in note
    assert note.endswith("; this jail looks at the discovered containers too")


def test_one_existing_log_file_is_enough(of, tmp_path):
    (tmp_path / "1.log").touch()
    found = of(f"[mail]\nlogpath = {tmp_path}/*.log\n          {tmp_path}/none.txt\n", look=True)

    assert [jail.absent for jail in found.jails] == [False]
    (note,) = found.notes
    assert note.endswith(f"mail.logpath: {tmp_path}/none.txt does not exist yet; it is followed once it does")


def test_a_logpath_that_is_a_directory_is_an_error(wrong, tmp_path):
    assert wrong(f"[mail]\nlogpath = {tmp_path}/filters\n", look=True) == [
        "jails.conf:2: mail.logpath: filters is a directory; name the file"
    ]


def test_every_key_of_fail2bans_own_jails_is_known(of):
    stock = Path("/etc/fail2ban/jail.conf")
    assert stock.exists(), "install fail2ban (apt-get install fail2ban): its own files are read here"

    found = of(f"[INCLUDES]\nbefore = {stock}\n[DEFAULT]\nenabled = true\nzzz = x\n[mail]\n")

    assert [error for error in found.errors if "there is no filter" not in error.message] == []
    assert [note.partition("jails.conf: ")[2] for note in found.notes if "unknown" in note] == [
        "DEFAULT.zzz: is ignored: unknown"
    ]


def test_a_very_wide_ignoreip_is_noted(of):
    found = of("[mail]\nignoreip = 10.0.0.0/8 0.0.0.0/0 ::/0\n")

    assert [note.partition("jails.conf: ")[2] for note in found.notes] == [
        "mail.ignoreip: nobody in 0.0.0.0/0 is ever banned",
        "mail.ignoreip: nobody in ::/0 is ever banned",
    ]


def test_an_option_without_effect_in_the_filter_is_noted(of):
    found = of("[DEFAULT]\nmode = normal\n[wordpress]\n[mail]\nfilter = mail[mode=hard, colour=red]\n")

    assert [note.partition("jails.conf: ")[2] for note in found.notes] == [
        "mail.filter: mail has no option `mode=hard`, so it has no effect",
        "mail.filter: mail has no option `colour=red`, so it has no effect",
    ]


NGINX_FORMAT = """log_format main '$remote_addr - $remote_user [$time_local] "$request" '
                    '$status $body_bytes_sent "$http_referer" "$http_user_agent"';"""


@pytest.mark.parametrize(
    "text",
    [
        NGINX_FORMAT,
        '$status $remote_addr "$request"',
        'LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" #%D" combinedio',
        '%a %t "%r" %>s # %{ms}T',
    ],
)
def test_a_format_of_access_logs_is_pasted_from_the_web_servers_configuration(tmp_path, text):
    path = tmp_path / "jails.conf"
    path.write_text(f"[wordpress-access]\nlogformat = {text}\n[wordpress-xmlrpc]\n")
    found = read(path, [])

    assert [jail.log_format.split() for jail in found.jails] == [text.split(), []]
    assert (found.errors, found.notes) == ((), ())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '"$request" $status',
            "has no client address; add $remote_addr (nginx), %h (Apache) or %ci (HAProxy)",
        ),
        ("%h %>s", 'has no request; add "$request" (nginx), "%r" (Apache) or %{+Q}r (HAProxy)'),
    ],
)
def test_a_format_without_what_a_failure_needs_is_an_error(of, text, sentence):
    found = of(f"[wordpress]\n[mail]\nlogformat = {text}")

    assert [(error.section, error.key, error.message) for error in found.errors] == [
        ("mail", "logformat", sentence)
    ]


def test_a_format_is_of_no_use_to_a_filter_that_reads_lines(of):
    assert [note.partition(": ")[2] for note in of('[mail]\nlogformat = %h "%r" %>s').notes] == [
        "mail.logformat: has no effect: filter mail does not read requests (`input = requests`)"
    ]
    assert of('[DEFAULT]\nlogformat = %h "%r" %>s\n[mail]').notes == ()


def test_the_scope_of_bans_is_the_host_unless_a_jail_says_otherwise(of, wrong):
    found = of("[DEFAULT]\nscope = site\n[wordpress]\n[wordpress-access]\nscope = Host\n")

    assert [jail.scope for jail in found.jails] == ["site", "host"]
    assert 'expected host or site, got "tenant"' in wrong("[wordpress]\nscope = tenant\n")[0]


def test_an_expression_for_lines_is_noted_where_the_filter_reads_requests(of):
    text = '[wordpress-xmlrpc]\nfailregex = ^<HOST> .* "POST /xmlrpc\n    ^<ADDR> POST /x 200\n'
    (note,) = of(text).notes

    assert 'wordpress-xmlrpc.filter: ^<HOST> .* "POST /xmlrpc is for lines as a server writes them' in note


def test_dockers_own_files_are_better_left_to_docker(of):
    notes = of("[wordpress]\nlogpath = /var/lib/docker/containers/*/*-json.log\n", look=True).notes

    assert any("leave logpath out: the logs of containers are read from Docker" in note for note in notes)
